"""What calibration carries over steps: past gradients, numbers a dimension, numbers a block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

from bogc.errors import StateError
from bogc.gradients import Block, GradientGroup, Layout

PAIR: Final = 2
Pair = tuple[str, str]
"""Source and block."""


@dataclass(frozen=True)
class Names:
    """What is to be remembered: how many gradients, and which numbers."""

    past: int
    dims: tuple[str, ...]
    table: tuple[str, ...]


@dataclass(eq=False)
class GroupMemory:
    """What is remembered of the sources and blocks of one group; written in place.

    Attributes:
        layout: The group's.
        past: Gradients [S, D] of the last steps, newest first.
        dims: Numbers [S, D] by name.
        table: Numbers [S, B] by name.
        steps: Gradients seen before: one number, or [S, B] on the CPU where sources or blocks differ.
        count: N of the last of them, likewise, on the device.
    """

    layout: Layout
    past: list[Tensor]
    dims: dict[str, Tensor]
    table: dict[str, Tensor]
    steps: int | Tensor
    count: float | Tensor

    def remember(self, group: GradientGroup, most: int) -> Tensor | None:
        """Take in this step's gradients; return the memory of the oldest, if it is no longer needed."""
        self.steps = self.steps + 1
        self.past.insert(0, group.gradients)
        return self.past.pop() if len(self.past) > most else None

    def pairs(self) -> dict[Pair, "PairMemory"]:
        """What is remembered of each source and block, copied."""
        found = {}
        for b, (block, own) in enumerate(zip(self.layout.blocks, self.layout.sources, strict=True)):
            start = self.layout.starts[b]
            for s, source in enumerate(own):
                place = slice(start, start + block.size)
                found[source, block.name] = PairMemory(
                    [values[s, place].clone() for values in self.past],
                    {name: values[s, place].clone() for name, values in self.dims.items()},
                    {name: values[s, b].clone() for name, values in self.table.items()},
                    int(self.steps[s, b]) if isinstance(self.steps, Tensor) else self.steps,
                    float(self.count[s, b]) if isinstance(self.count, Tensor) else self.count,
                )
        return found


@dataclass(frozen=True, eq=False)
class PairMemory:
    """What is remembered of one source in one block; fields as in GroupMemory."""

    past: list[Tensor]
    dims: dict[str, Tensor]
    table: dict[str, Tensor]
    steps: int
    count: float


@dataclass(eq=False)
class Memory:
    """What is remembered of all sources and blocks.

    Attributes:
        groups: Of the groups of the last step.
        asleep: Of sources and blocks that were not in it.
        unit: Power of two that gradients are divided by; None before the first step.
    """

    groups: list[GroupMemory] = field(default_factory=list)
    asleep: dict[Pair, PairMemory] = field(default_factory=dict)
    unit: float | None = None

    def forget(self) -> None:
        """Go back to before the first step, in place."""
        self.groups, self.asleep, self.unit = [], {}, None

    def align(self, groups: Sequence[GradientGroup], names: Names) -> list[GroupMemory]:
        """Return what is remembered of ``groups``; nothing is changed before ``put``."""
        by_key = {memory.layout.key: memory for memory in self.groups}
        if all(group.layout.key in by_key for group in groups):
            return [by_key[group.layout.key] for group in groups]
        known = {**self.asleep}
        for memory in self.groups:
            known |= memory.pairs()
        return [by_key.get(group.layout.key) or _assemble(group, known, names) for group in groups]

    def put(self, memories: list[GroupMemory]) -> None:
        """Keep the memories of this step's groups; those of other sources and blocks go to sleep."""
        kept = {id(memory) for memory in memories}
        if len(kept) != len(self.groups) or any(id(memory) not in kept for memory in self.groups):
            present = {pair for memory in memories for pair in memory.layout.pairs}
            for memory in self.groups:
                if id(memory) not in kept:
                    self.asleep |= memory.pairs()
            self.asleep = {pair: found for pair, found in self.asleep.items() if pair not in present}
        self.groups = memories

    def state_dict(self) -> dict[str, Any]:
        """Everything as nested dicts of tensors and numbers, copied."""
        pairs = dict(self.asleep)
        for memory in self.groups:
            pairs |= memory.pairs()
        return {
            "unit": self.unit,
            "pairs": {
                f"{s}\n{b}": vars(found) | {"past": list(found.past)} for (s, b), found in pairs.items()
            },
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blocks: Sequence[Block], names: Names) -> "Memory":
        """Inverse of ``state_dict``, checked against the network.

        Raises:
            StateError: It is of other blocks or sizes, or of other choices, or is not such a state.
        """
        sizes = {block.name: block.size for block in blocks}
        try:
            unit, found = (
                state["unit"],
                {tuple(k.split("\n")): PairMemory(**v) for k, v in state["pairs"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise _not_ours("a state of this method", f"{type(error).__name__}: {error}") from None
        if unit is not None and not _positive(unit):
            raise _not_ours("in a positive unit", unit)
        for key, pair in found.items():
            if len(key) != PAIR or key[1] not in sizes:
                raise _not_ours(f"of the blocks {list(sizes)[:5]}", "/".join(key))
            _check_pair(pair, key[1], sizes[key[1]], names)
        return cls(asleep={(key[0], key[1]): pair for key, pair in found.items()}, unit=unit)


def _check_pair(pair: PairMemory, name: str, size: int, names: Names) -> None:
    """Raise StateError unless ``pair`` holds what ``names`` says, of a block of ``size`` dimensions."""
    kinds = [isinstance(pair.past, list), isinstance(pair.dims, Mapping), isinstance(pair.table, Mapping)]
    if not all(kinds) or not isinstance(pair.steps, int) or pair.steps < 0 or not _positive(pair.count):
        raise _not_ours("gradients, numbers and counts", f"something else in {name}")
    enough = min(pair.steps, names.past) <= len(pair.past) <= names.past
    if set(pair.dims) != set(names.dims) or set(pair.table) != set(names.table) or not enough:
        raise _not_ours(f"made with the same choices, {names}", [len(pair.past), *pair.dims, *pair.table])
    expected = [(value, [size]) for value in (*pair.past, *pair.dims.values())]
    for value, shape in [*expected, *((value, []) for value in pair.table.values())]:
        if not isinstance(value, Tensor) or list(value.shape) != shape or not value.is_floating_point():
            raise _not_ours(f"of {size} dimensions in {name}", getattr(value, "shape", type(value).__name__))
        if not bool(torch.isfinite(value).all()):
            raise _not_ours("finite", f"NaN or infinity in {name}")


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < float("inf")


def _not_ours(rule: str, found: object) -> StateError:
    return StateError(
        "state", f"must be {rule}", found, "Load what state_dict of the same balancer returned."
    )


def _assemble(group: GradientGroup, known: Mapping[Pair, PairMemory], names: Names) -> GroupMemory:
    """Lay out what is known of each source and block; what is not has the gradient itself as its past."""
    layout, gradients = group.layout, group.gradients
    device, shape = gradients.device, (len(gradients), len(layout.blocks))
    found = [
        [
            known.get((s, b.name))
            for b, own in zip(layout.blocks, layout.sources, strict=True)
            for s in (own[row],)
        ]
        for row in range(len(gradients))
    ]
    dims = {name: torch.zeros_like(gradients) for name in names.dims}
    table = {name: gradients.new_zeros(shape) for name in names.table}
    if not any(pair for row in found for pair in row):
        return GroupMemory(layout, [], dims, table, 0, 1.0)
    past = [gradients.clone() for _ in range(names.past)]
    steps, count = torch.zeros(shape, dtype=torch.int64), gradients.new_ones(shape)
    for s, row in enumerate(found):
        for b, pair in enumerate(row):
            if pair is None:
                continue
            place = slice(layout.starts[b], layout.starts[b] + layout.blocks[b].size)
            steps[s, b], count[s, b] = pair.steps, pair.count
            for values, old in zip(past, pair.past, strict=False):
                values[s, place] = old.to(device)
            for name in names.dims:
                dims[name][s, place] = pair.dims[name].to(device)
            for name in names.table:
                table[name][s, b] = pair.table[name].to(device)
    return GroupMemory(layout, past, dims, table, _one(steps), _one(count))


def _one(values: Tensor) -> Any:
    """The number that all are, or all of them."""
    first = values.flatten()[0]
    return first.item() if bool((values == first).all()) else values
