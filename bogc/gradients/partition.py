"""The partition of a network's parameters into modalities, by module and never by name."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from torch import Tensor, nn
from torch import distributed as dist

from bogc.errors import PartitionError, UnsuitableError
from bogc.gradients.groups import Block, Layout, arrange
from bogc.gradients.sharded import check_sharding, is_sharded

FUSION: Final = "fusion"
SHARED: Final = "shared"
RESERVED: Final = (FUSION, SHARED, "fused")  # the last names the combined opinion in what a step reports

Modules = nn.Module | Iterable[nn.Module]


class ModalityPartition:
    """A network's trainable parameters, sorted by the modality that owns them.

    Parameters that are frozen, unfrozen, added or removed after the partition is made are noticed by
    ``refresh``, which a balancer calls at every step.

    Args:
        modalities: Modality name -> the module, or modules, that only this modality trains: its encoder
            and its unimodal head.
        shared: Modules that no modality owns, usually the fusion head.
        model: The whole network. If given, every trainable parameter must be in the partition, and blocks
            carry the network's own names. Without it, ``backward`` makes the same check on the first batch.

    Raises:
        PartitionError: A modality is empty or misnamed, two modalities overlap, parameters are left over, or
            something else than a module is given.
    """

    blocks: tuple[Block, ...]
    """One a layer that has trainable parameters, in the order of the modules."""
    parameters: tuple[nn.Parameter, ...]
    """All trainable parameters, block by block."""

    def __init__(
        self, modalities: Mapping[str, Modules], shared: Modules = (), model: nn.Module | None = None
    ) -> None:
        check_mapping(modalities)
        self.modalities: tuple[str, ...] = tuple(modalities)
        self.sources: tuple[str, ...] = (FUSION, *self.modalities)
        _check_names(self.modalities)
        groups = {name: _as_modules(name, given) for name, given in {**modalities, SHARED: shared}.items()}
        _check_disjoint(groups)
        paths = {} if model is None else {id(module): name for name, module in model.named_modules()}
        self._members = [
            (name, paths.get(id(module)) or (name if len(modules) == 1 else f"{name}.{index}"), module)
            for name, modules in groups.items()
            for index, module in enumerate(modules)
        ]
        self._collect()
        if model is not None:
            named = {n: p for n, p in model.named_parameters() if p.requires_grad}
            self.check_complete(named.values(), names=list(named))

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """Every module in the partition, those inside others included."""
        return tuple(self._layers)

    @property
    def sharded(self) -> bool:
        """Whether each process holds some rows of each parameter, by ``fully_shard``."""
        return is_sharded(self.parameters[0])

    def refresh(self) -> bool:
        """Take in parameters that were frozen, unfrozen, added or removed since; say whether any were.

        Those of a sharded network are what they were: others stand in their places during a pass.

        Raises:
            UnsuitableError: Among several processes, a parameter has another in its place, as ``fully_shard``
                makes them for one pass: a gradient there would reach no optimiser.
        """
        if self.sharded or self._signature() == self._seen:
            return False
        if dist.is_available() and dist.is_initialized():
            _check_kept(self._places, places_of(self._layers))
        self._collect()
        return True

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

    def layouts(self, reached: Mapping[str, Collection[int]]) -> list[Layout]:
        """Arrange the blocks by how many sources reach them; remembered by what is reached.

        Args:
            reached: Ids of the parameters that each source's loss reaches, by source, in order.
        """
        key = tuple((source, tuple(ids)) for source, ids in reached.items())
        if key not in self._layouts:
            self._layouts[key] = arrange({source: set(ids) for source, ids in reached.items()}, self.blocks)
        return self._layouts[key]

    def names_of(self, parameters: Iterable[Tensor]) -> list[str]:
        """Full names of ``parameters`` of the partition, in its order."""
        wanted = {id(parameter) for parameter in parameters}
        pairs = ((b, n, p) for b in self.blocks for n, p in zip(b.names, b.parameters, strict=True))
        return [f"{block.name}.{name}" for block, name, p in pairs if id(p) in wanted]

    def _collect(self) -> None:
        taken: set[int] = set()
        blocks = [block for member in self._members for block in _layer_blocks(*member, taken)]
        _check_distinct([block.name for block in blocks])
        self.blocks = tuple(blocks)
        self.parameters = tuple(p for block in blocks for p in block.parameters)
        self._layers = [layer for _, _, module in self._members for layer in module.modules()]
        check_sharding(self.parameters)
        self._places = places_of(self._layers)
        self._seen = self._signature()
        self._layouts: dict[object, list[Layout]] = {}

    def _signature(self) -> tuple[list[Any], list[int]]:
        """What changes when a layer gains, loses, freezes or unfreezes a parameter, or gains a child."""
        own = [
            (id(p), p.requires_grad) for m in self._layers for p in m._parameters.values() if p is not None
        ]
        return own, [id(child) for m in self._layers for child in m._modules.values()]


Places = dict[tuple[int, str], nn.Parameter]


def places_of(layers: Iterable[nn.Module]) -> Places:
    """Parameters by layer and name."""
    return {(id(m), name): p for m in layers for name, p in m._parameters.items() if p is not None}


def _check_kept(before: Places, now: Places) -> None:
    """Raise UnsuitableError if a place holds another parameter of the same size than before."""
    both = before.keys() & now.keys()
    count = sum(now[key] is not before[key] and now[key].shape == before[key].shape for key in both)
    if count:
        remedy = "Make the partition after fully_shard."
        found = f"{count} that were replaced, as by fully_shard"
        raise UnsuitableError("parameters", "must be those that the partition was made of", found, remedy)


def check_mapping(modalities: object) -> None:
    """Raise PartitionError unless ``modalities`` maps names to something."""
    if not isinstance(modalities, Mapping) or not modalities:
        found = type(modalities).__name__ if not isinstance(modalities, Mapping) else "none"
        remedy = 'Pass {"audio": model.audio, "video": model.video}.'
        raise PartitionError("modalities", "must map at least one name to its modules", found, remedy)


def _layer_blocks(modality: str, path: str, module: nn.Module, taken: set[int]) -> Iterator[Block]:
    """Yield one block for each submodule that owns trainable parameters not yet in ``taken``.

    ``taken`` holds the ids of parameters already in a block and is extended: a parameter shared by two
    layers belongs to the first.
    """
    for name, layer in module.named_modules():
        own = {
            n: p for n, p in layer.named_parameters(recurse=False) if p.requires_grad and id(p) not in taken
        }
        taken.update(map(id, own.values()))
        if own:
            yield Block(f"{path}.{name}" if name else path, modality, tuple(own.values()), tuple(own))


def _as_modules(name: str, modules: Modules) -> tuple[nn.Module, ...]:
    one = isinstance(modules, nn.Module | Tensor) or not isinstance(modules, Iterable)
    given: tuple[Any, ...] = (modules,) if one else tuple(modules)  # type: ignore[arg-type]
    for module in given:
        if not isinstance(module, nn.Module):
            remedy = "Pass a module; wrap a bare parameter as nn.ParameterList([parameter])."
            rule = "must be a module or several"
            raise PartitionError(f"modality {name!r}", rule, type(module).__name__, remedy)
    return given


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
