"""Parameters that ``fully_shard`` (FSDP2) spreads over processes: each process holds some rows of each.

The graph of such a network leads to gathered copies that live for one pass, so autograd.grad finds nothing to
differentiate. A backward pass fills ``.grad`` with this process' rows of the mean over processes; one pass a
source, with ``.grad`` taken away in between, gives the gradients of all sources.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from bogc.distributed import DistributedProcesses, ProcessGroup, SingleProcess
from bogc.errors import UnsuitableError
from bogc.gradients.differentiate import Reached


def is_sharded(parameter: Tensor) -> bool:
    """Say whether it is a DTensor."""
    return hasattr(parameter, "placements")


def local(parameter: Tensor) -> Tensor:
    """The rows of a parameter that are here; all of them where it is not sharded."""
    return parameter.to_local() if is_sharded(parameter) else parameter  # type: ignore[attr-defined]


def holders(parameter: Any) -> ProcessGroup:
    """The processes that hold the rows of a parameter."""
    if not is_sharded(parameter) or parameter.device_mesh.size() == 1:
        return SingleProcess()
    return DistributedProcesses(parameter.device_mesh.get_group())


def check_sharding(parameters: Sequence[Any]) -> None:
    """Raise UnsuitableError unless none is sharded, or all are, by rows over one group of processes."""
    sharded = [p for p in parameters if is_sharded(p)]
    if not sharded:
        return
    rule, mesh = "must all be sharded by fully_shard over one mesh of one dimension", sharded[0].device_mesh
    remedy = "Apply fully_shard to the whole network before the partition is made, and nothing else."
    if len(sharded) < len(parameters):
        found = f"{len(parameters) - len(sharded)} that are not"
        raise UnsuitableError("parameters", rule, found, remedy)
    for p in sharded:
        if p.device_mesh != mesh or mesh.ndim != 1 or not p.placements[0].is_shard(0):
            found = f"placements {p.placements} on {p.device_mesh}"
            raise UnsuitableError("parameters", rule, found, remedy)


def sharded_gradients(totals: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> dict[str, Reached]:
    """Differentiate scalars one after the other: this process' rows of their means over processes.

    Every process takes part with as many totals, which reach the same parameters. ``.grad`` is left as it
    was. Leaves that require a gradient and are no parameters of the partition accumulate theirs.
    """
    before, found, last = [p.grad for p in parameters], {}, len(totals) - 1
    try:
        for index, (source, total) in enumerate(totals.items()):
            for p in parameters:
                p.grad = None
            total.backward(retain_graph=index < last)
            found[source] = {id(p): local(p.grad) for p in parameters if p.grad is not None}
    finally:
        for p, grad in zip(parameters, before, strict=True):
            p.grad = grad
    return found


def placed(rows: Tensor, parameter: Any) -> Tensor:
    """Rows of this process as a DTensor that lies as ``parameter`` does; as they are if it is not sharded."""
    if not is_sharded(parameter) or is_sharded(rows):
        return rows
    made: Tensor = type(parameter).from_local(
        rows, parameter.device_mesh, parameter.placements, run_check=False, shape=parameter.shape,
        stride=parameter.stride(),
    )  # fmt: skip
    return made


def gathered(state: Any) -> Any:
    """Nested containers with each sharded tensor whole; every process takes part."""
    return tree_map_only(Tensor, lambda v: v.full_tensor() if is_sharded(v) else v, state)


def spread_like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, sharded as ``parameter`` is if it is and they are of one shape."""
    fits = is_sharded(parameter) and value.shape == parameter.shape
    return placed(_rows(value, parameter).clone(), parameter) if fits else value


def whole(flat: Tensor, parameters: Sequence[Any]) -> Tensor:
    """Values of a block's own rows, flat, -> those of all rows; every process takes part."""
    sizes = [local(p).numel() for p in parameters]
    parts = zip(flat.split(sizes), parameters, strict=True)
    return torch.cat([placed(v.view(local(p).shape), p).full_tensor().flatten() for v, p in parts])  # type: ignore[attr-defined]


def own_part(flat: Tensor, parameters: Sequence[Any]) -> Tensor:
    """Inverse of ``whole``: FSDP2 gives each process the next ceil(rows / processes) rows."""
    pieces = zip(flat.split([p.numel() for p in parameters]), parameters, strict=True)
    return torch.cat([_rows(values.view(p.shape), p).flatten() for values, p in pieces])


def _rows(values: Tensor, parameter: Any) -> Tensor:
    mesh = parameter.device_mesh
    step = -(-len(values) // mesh.size())
    start = min(mesh.get_local_rank() * step, len(values))
    return values[start : min(start + step, len(values))]
