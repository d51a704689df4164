"""The partition of a network's parameters into modalities, by module and never by name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from torch import Tensor, nn

from bogc.errors import PartitionError
from bogc.gradients.blocks import Block, layer_blocks

FUSION: Final = "fusion"
SHARED: Final = "shared"
RESERVED: Final = (FUSION, SHARED, "fused")  # the last names the combined opinion in what a step reports

Modules = nn.Module | Iterable[nn.Module]


class ModalityPartition:
    """Which modules belong to which modality.

    Args:
        modalities: Modality name -> the module, or modules, that only this modality trains: its encoder
            and its unimodal head.
        shared: Modules that no modality owns, usually the fusion head.
        model: The whole network. If given, every trainable parameter must be in the partition, and blocks
            carry the network's own names. Without it, ``backward`` makes the same check on the first batch.

    Raises:
        PartitionError: A modality is empty or misnamed, two modalities overlap, or parameters are left over.
    """

    def __init__(
        self, modalities: Mapping[str, Modules], shared: Modules = (), model: nn.Module | None = None
    ):
        if not modalities:
            raise PartitionError(
                "modalities", "must name at least one modality", "none", "Pass {name: module}."
            )
        self.modalities: tuple[str, ...] = tuple(modalities)
        self.sources: tuple[str, ...] = (FUSION, *self.modalities)
        _check_names(self.modalities)
        groups = {name: _as_modules(modules) for name, modules in {**modalities, SHARED: shared}.items()}
        _check_disjoint(groups)
        self.modules: tuple[nn.Module, ...] = tuple(m for modules in groups.values() for m in modules)
        paths = {} if model is None else {id(module): name for name, module in model.named_modules()}
        taken: set[int] = set()
        blocks: list[Block] = []
        for name, modules in groups.items():
            for index, module in enumerate(modules):
                path = paths.get(id(module)) or (name if len(modules) == 1 else f"{name}.{index}")
                blocks.extend(layer_blocks(name, path, module, taken))
        _check_distinct([block.name for block in blocks])
        self.blocks: tuple[Block, ...] = tuple(blocks)
        if model is not None:
            named = {n: p for n, p in model.named_parameters() if p.requires_grad}
            self.check_complete(named.values(), names=list(named))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All trainable parameters, block by block."""
        return [parameter for block in self.blocks for parameter in block.parameters]

    def check_trainable(self) -> None:
        """Raise PartitionError if a parameter was frozen since the partition was made."""
        frozen = [block.name for block in self.blocks for p in block.parameters if not p.requires_grad]
        if frozen:
            raise PartitionError(
                "modalities", "must hold trainable parameters only", frozen[:5], "Partition after freezing."
            )

    def check_complete(self, parameters: Iterable[Tensor], names: Sequence[str] | None = None) -> None:
        """Raise PartitionError if any of ``parameters`` is in no block."""
        known = {id(parameter) for parameter in self.parameters}
        left = [(i, p) for i, p in enumerate(parameters) if id(p) not in known]
        if left:
            labels = [names[i] if names else f"a parameter of shape {list(p.shape)}" for i, p in left]
            raise PartitionError(
                "modalities",
                "must cover every trainable parameter",
                f"{len(left)} left over: {', '.join(labels[:5])}",
                "Give their modules to a modality, or to shared=[...] if no modality owns them.",
            )


def _as_modules(modules: Modules) -> tuple[nn.Module, ...]:
    return (modules,) if isinstance(modules, nn.Module) else tuple(modules)


def _check_names(names: Sequence[str]) -> None:
    reserved = [name for name in names if name in RESERVED]
    if reserved:
        raise PartitionError(
            "modalities",
            "must not use the reserved names",
            reserved,
            "Rename the modality; these name losses and opinions.",
        )


def _check_distinct(names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise PartitionError(
            "modalities",
            "must not give two blocks one name",
            repeated,
            "Rename the modality that looks like a path inside another, or pass model=.",
        )


def _check_disjoint(groups: Mapping[str, tuple[nn.Module, ...]]) -> None:
    owner: dict[int, str] = {}
    for name, modules in groups.items():
        own = {id(p): p for module in modules for p in module.parameters() if p.requires_grad}
        if not own and name != SHARED:
            raise PartitionError(
                f"modality {name!r}",
                "must have a trainable parameter",
                "none",
                "Pass its encoder, or leave the modality out.",
            )
        for key, parameter in own.items():
            if owner.setdefault(key, name) != name:
                raise PartitionError(
                    f"modalities {owner[key]!r} and {name!r}",
                    "must not overlap",
                    f"a common parameter of shape {list(parameter.shape)}",
                    "Put the common module into shared=[...] alone.",
                )
