"""Parameters that fully_shard spreads over processes: the update of one process, or a typed error."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.functional import cross_entropy

from bogc.errors import BogcError
from bogc.methods import BOGC, MIMO, CalibrationSettings, InverseVariance, MMPareto, UnimodalSum
from tests.networks import PlainNetwork, batch
from tests.processes import together

SETTINGS = {
    "bogc": CalibrationSettings(),
    "filtered": CalibrationSettings(posterior="filtered"),
    "cautious": CalibrationSettings(combination="cautious"),
}
BALANCERS: dict[str, Callable] = {
    "sum": UnimodalSum,
    "mimo": MIMO,
    "inverse variance": InverseVariance,
    **{name: settings.build for name, settings in SETTINGS.items()},
}
STEPS, SAMPLES = 6, 11


class Network(PlainNetwork):
    """Called for the losses of one process' samples, as a sharded module must be called."""

    def losses(self, rank: int, size: int, seed: int) -> dict[str, Tensor]:
        inputs, targets = batch(SAMPLES, seed)
        own = torch.arange(SAMPLES).tensor_split(size)[rank]
        logits = self({modality: value[own] for modality, value in inputs.items()})
        return {source: cross_entropy(z, targets[own], reduction="none") for source, z in logits.items()}


def made(shard: bool, policy: MixedPrecisionPolicy | None = None) -> Network:
    torch.manual_seed(0)
    network = Network()
    if shard:
        for module in (*network.children(), network):
            fully_shard(module, mp_policy=policy or MixedPrecisionPolicy())
    return network


def full(values: Tensor | None) -> Tensor | None:
    return values.full_tensor() if hasattr(values, "full_tensor") else values


def train(name: str, rank: int, size: int, steps: int = STEPS, state: dict | None = None, start: int = 0):
    """Weights, gradients and state after a few steps; before them, each element of .grad is 1."""
    network = made(size > 1)
    balancer = BALANCERS[name](network.partition())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    if state is not None:
        balancer.load_state_dict(state["balancer"])
        with torch.no_grad():
            for p, value in zip(network.parameters(), state["weights"], strict=True):
                p.copy_(
                    torch.distributed.tensor.distribute_tensor(value, p.device_mesh, p.placements)
                    if size > 1
                    else value
                )
    for seed in range(start, start + steps):
        for p in network.parameters():
            p.grad = torch.ones_like(p)
        balancer.backward(network.losses(rank, size, seed))
        optimiser.step()
    weights = [full(p.detach()).clone() for p in network.parameters()]
    return {"weights": weights, "gradients": [full(p.grad) for p in network.parameters()],
            "balancer": balancer.state_dict()}  # fmt: skip


def trained(rank: int, size: int) -> dict[str, dict]:
    return {name: train(name, rank, size) for name in BALANCERS}


def close(one: object, other: object, text: str) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12, msg=lambda m: f"{text}: {m}")


@pytest.mark.parametrize("size", [2, 4])
def test_sharded_networks_train_as_one_process_does(size: int, tmp_path: Path):
    """4 processes: some hold no row of the small layers."""
    expected = {name: train(name, 0, 1) for name in BALANCERS}
    for found in together(trained, size, tmp_path):
        for name, values in found.items():
            close(values["weights"], expected[name]["weights"], name)
            close(values["gradients"], expected[name]["gradients"], name)
            close(values["balancer"]["state"], expected[name]["balancer"]["state"], name)


def resumed(rank: int, size: int, states: dict) -> dict[str, dict]:
    return {name: train(name, rank, size, 3, states[name], start=4) for name in SETTINGS}


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path):
    expected = {name: train(name, 0, 1, 7) for name in SETTINGS}
    alone = {name: train(name, 0, 1, 4) for name in SETTINGS}
    (two, _) = together(begun, 2, tmp_path / "begun")
    for name in SETTINGS:  # on one process what two began
        close(train(name, 0, 1, 3, two[name], start=4)["weights"], expected[name]["weights"], name)
    for found in together(resumed, 3, tmp_path / "resumed", alone):  # on three what one began
        for name in SETTINGS:
            close(found[name]["weights"], expected[name]["weights"], name)


def begun(rank: int, size: int) -> dict[str, dict]:
    return {name: train(name, rank, size, 4) for name in SETTINGS}


def mixed(rank: int, size: int) -> dict[str, list[Tensor]]:
    """Gradients of fixed weights, whose products are in bfloat16."""
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    network, found = made(size > 1, policy), {}
    for name in ("sum", "bogc"):
        balancer = BALANCERS[name](network.partition())
        for seed in range(STEPS):
            network.zero_grad()
            balancer.backward(network.losses(rank, size, seed))
        found[name] = [full(p.grad) for p in network.parameters()]
    return found


def test_mixed_precision_is_that_of_the_products_alone(tmp_path: Path):
    expected = mixed(0, 1)
    for found in together(mixed, 2, tmp_path):
        for name, gradients in found.items():
            one, other = (torch.cat([g.flatten() for g in every]) for every in (gradients, expected[name]))
            error = float((one - other).norm() / other.norm())
            assert 1e-4 < error < 0.05, name  # bfloat16 keeps 8 bits; 0 would be another dtype


def said(attempt: Callable) -> str:
    try:
        attempt()
    except BogcError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def refused(rank: int, size: int) -> dict[str, str]:
    network, found = made(True), {}
    partition = network.partition()

    def attempt(
        name: str, balancer: object, losses: Callable = lambda: network.losses(rank, size, 0)
    ) -> None:
        found[name] = said(lambda: balancer.backward(losses()))
        assert all(p.grad is None for p in network.parameters()), name

    attempt("method", MMPareto(partition))
    attempt("pools", CalibrationSettings(frame="dimensions").build(partition))
    attempt("estimator", CalibrationSettings(estimator="per-sample").build(partition))
    found["micro-batch"] = said(lambda: BOGC(partition).accumulate(network.losses(rank, size, 0)))

    def lacking() -> dict[str, Tensor]:
        return {s: v for s, v in network.losses(rank, size, 0).items() if rank == 0 or s != "image"}

    attempt("source", BOGC(partition), lacking)

    def poisoned() -> dict[str, Tensor]:
        losses = network.losses(rank, size, 0)
        weight = next(
            iter(network.parameters())
        )  # its gradient alone is not finite, and in one process' rows
        del weight
        return losses | {"image": losses["image"] * torch.where(torch.tensor(rank == 0), float("inf"), 1.0)}

    attempt("infinite", BOGC(partition), poisoned)
    attempt("infinite sum", UnimodalSum(partition), poisoned)
    early = Network()
    before = early.partition()
    fully_shard(early)
    found["early"] = said(lambda: UnimodalSum(before).backward(early.losses(rank, size, 0)))
    half = Network()
    fully_shard(next(half.children()))
    found["half"] = said(half.partition)
    columns = Network()
    mesh = init_device_mesh("cpu", (1, size), mesh_dim_names=("replicate", "shard"))
    fully_shard(columns, mesh=mesh)
    found["mesh"] = said(columns.partition)
    return found


def test_what_cannot_be_exact_is_refused_everywhere_before_anything_is_changed(tmp_path: Path):
    expected = {
        "method": "UnsuitableError: method must be exact on a batch that is spread over sharded parameters",
        "pools": "UnsuitableError: pipeline must look at single dimensions where parameters are sharded",
        "estimator": "UnsuitableError: estimator must be exact on a batch that is spread over",
        "micro-batch": "UnsuitableError: parameters must not be sharded, for micro-batches",
        "source": "UnsuitableError: losses['image'] must be in every process where",
        "infinite": "NonFiniteError: ",
        "infinite sum": "NonFiniteError: ",
        "early": "UnsuitableError: parameters must be those that the partition was made of; found 10",
        "half": "UnsuitableError: parameters must all be sharded by fully_shard over one mesh",
        "mesh": "UnsuitableError: parameters must all be sharded by fully_shard over one mesh",
    }
    for found in together(refused, 2, tmp_path):
        for name, start in expected.items():
            assert found[name].startswith(start), (name, found[name])
