"""Methods that remember gradients over steps, in units in which their squares are floats."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from bogc.calibration import Memory
from bogc.calibration.tracker import Look, MomentTracker
from bogc.errors import NonFiniteError, StateError, UnsuitableError
from bogc.gradients import Block, GradientGroup, ModalityPartition
from bogc.gradients.sharded import own_part, whole
from bogc.methods.base import Balancer, Stateful
from bogc.methods.batch import BatchView, check_finite_groups

SMALLEST: Final = 2.0**-50
"""Length of gradients in their unit below which squares are lost beside what variances are kept above."""
USUAL: Final = 2.0**30
"""Gradients whose largest element is within this factor of 1 are taken in their own unit."""


class Remembering(Balancer):
    """A balancer with a MomentTracker, and a Memory as its state.

    Args:
        partition: Which modules belong to which modality.
        tracker: What is remembered.
        members: As for Balancer.
    """

    def __init__(
        self,
        partition: ModalityPartition,
        tracker: MomentTracker,
        members: Mapping[str, Stateful] | None = None,
    ) -> None:
        super().__init__(partition, members)
        self.tracker = tracker
        self.estimator = tracker.estimator
        self._state = {"memory": Memory(), "steps": 0}
        self._spare: dict[tuple[object, ...], Tensor] = {}

    @property
    def unit(self) -> float:
        """Power of two that gradients are divided by: 1 but for very large or small ones."""
        memory: Memory = self._state["memory"]
        return memory.unit or 1.0

    def groups(self, seen: BatchView, only: Collection[str] | None = None) -> list[GradientGroup]:
        """Gradients of all sources, or of ``only`` some, in the unit of the first step. Chooses it there."""
        if seen.again is not None and seen.scale is not None:
            rule, remedy = "must not scale losses that are drawn", "Use bfloat16, or a reading without draws."
            raise UnsuitableError("scaler", rule, "a GradScaler", remedy)
        estimator = self.estimator.bound(seen.again, self._state["steps"])
        found = seen.groups(estimator, only, self.unit, self._spare)
        memory: Memory = self._state["memory"]
        choose_unit(found, memory)
        return found

    def looks(
        self,
        seen: BatchView,
        values: Mapping[str, Tensor],
        only: Collection[str] | None = None,
        look: Callable[[Sequence[GradientGroup], Memory], list[Look]] | None = None,
    ) -> list[Look]:
        """Look at the gradients of all sources, or of ``only`` some, and check them with ``values``."""
        return look_in_unit(self.groups(seen, only), self._state["memory"], values, look or self.tracker.look)

    def remember(self, memory: Memory, looks: Sequence[Look]) -> None:
        """Keep a step's gradients as the last."""
        self._spare = {}
        for look in looks:
            freed = look.memory.remember(look.group, self.tracker.names.past)
            if freed is not None:
                self._spare[look.group.layout.key] = freed
        memory.put([look.memory for look in looks])

    def next(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state of the next step: the memory, which a step changes in place, and the number of steps."""
        return {**state, "steps": state["steps"] + 1}

    def _forget_gone(self) -> None:
        """Forget blocks that are gone or of another size: they start anew when they come back."""
        memory: Memory = self._state["memory"]
        sizes = {block.name: block.size for block in self.partition.blocks}
        kept = [g for g in memory.groups if all(sizes.get(b.name) == b.size for b in g.layout.blocks)]
        pairs = dict(memory.asleep)
        for group in memory.groups:
            if group not in kept:
                pairs |= group.pairs()
        asleep = {
            (source, name): pair
            for (source, name), pair in pairs.items()
            if name in sizes
            and all(len(values) == sizes[name] for values in (*pair.past, *pair.dims.values()))
        }
        self._state = {**self._state, "memory": Memory(kept, asleep, memory.unit)}
        self._spare = {}

    def _saved(self) -> Any:
        memory: Memory = self._state["memory"]
        drawn = {"steps": self._state["steps"]} if self.estimator.needs_closure else {}
        found = memory.state_dict()
        if self.partition.sharded:
            found["pairs"] = self._converted(found["pairs"], whole)
        return found | drawn

    def _restored(self, state: Any) -> Mapping[str, Any]:
        if not isinstance(state, Mapping):
            raise StateError("state", "must be a mapping", type(state).__name__, "Load its own.")
        self.partition.refresh()
        if self.partition.sharded and isinstance(state.get("pairs"), Mapping):
            state = {**state, "pairs": self._converted(state["pairs"], own_part)}
        memory = Memory.from_state(state, self.partition.blocks, self.tracker.names)
        foreign = {source for source, _ in memory.asleep} - set(self.partition.sources)
        if foreign:
            rule, found = f"must be of the sources {list(self.partition.sources)}", sorted(foreign)
            raise StateError("state", rule, found, "Load that of the same network.")
        steps = state.get("steps") if self.estimator.needs_closure else 0
        if type(steps) is not int or steps < 0:
            raise StateError("state", "must count its steps", steps, "Load that of the same choices.")
        self._spare = {}
        return {"memory": memory, "steps": steps}

    def _converted(self, pairs: Mapping[str, Any], convert: Callable[..., Tensor]) -> dict[str, Any]:
        """Convert numbers a dimension of each block; what does not fit is left to be refused."""
        blocks = {block.name: block for block in self.partition.blocks}

        def one(block: Block | None, value: Any) -> Any:
            if block is None or not isinstance(value, Tensor):
                return value
            size = block.size if convert is whole else block.whole_size
            return convert(value, block.parameters) if value.shape == (size,) else value

        return {
            key: tree_map_only(Tensor, partial(one, blocks.get(key.split("\n")[-1])), pair)
            for key, pair in pairs.items()
        }


def choose_unit(groups: Sequence[GradientGroup], memory: Memory) -> None:
    """At a first step, choose the unit, and take the gradients in it."""
    if memory.unit is None:
        memory.unit = own_unit(groups)
        for group in groups:
            _divide(group, memory.unit or 1.0)


def look_in_unit(
    groups: Sequence[GradientGroup],
    memory: Memory,
    values: Mapping[str, Tensor],
    look: Callable[[Sequence[GradientGroup], Memory], list[Look]],
) -> list[Look]:
    """Look at gradients in the unit of ``memory``, and check them with ``values``.

    Where they have become so small in their unit that squares vanish, as after a first batch of huge losses,
    what is remembered is of no use: it is forgotten, and this is a first step with a new unit.

    Raises:
        NonFiniteError: A gradient, its square or a value is not finite; nothing has been changed.
    """
    found = look(groups, memory)
    if 0 < check_finite_looks(values, found) < SMALLEST:
        factor, unit = own_unit(groups) or 1.0, memory.unit or 1.0
        for group in groups:
            _divide(group, factor)
        memory.forget()
        memory.unit = factor * unit
        found = look(groups, memory)
    return found


def own_unit(groups: Sequence[GradientGroup]) -> float | None:
    """Power of two that makes the largest element about 1 if it is very large or small, else 1.

    None where all are zero, or some are not finite, so that nothing is known. Reads the device.
    """
    own = [float(group.gradients.abs().amax()) for group in groups if group.gradients.numel()]
    largest = [value for found in groups[0].layout.holders.tell(own) for value in found]
    if not any(largest) or not all(map(math.isfinite, largest)):
        return None
    if 1 / USUAL < max(largest) < USUAL:
        return 1.0
    return float(2.0 ** math.frexp(max(largest))[1])


def _divide(group: GradientGroup, unit: float) -> None:
    if unit != 1:
        group.gradients.div_(unit)
        if group.scatter is not None:
            group.scatter.div_(unit).div_(unit)
        if group.drawn is not None:
            group.drawn.div_(unit)


def check_finite_looks(losses: Mapping[str, Tensor], looks: Sequence[Look]) -> float:
    """Raise NonFiniteError if a loss, a gradient or its square is not finite; one read of the device.

    Returns the sum of the lengths of all rows of gradients, in their unit.

    Squares count as overflown at a hundredth of the largest float, so that those of differences do not.
    """
    norms = looks[0].group.layout.holders.sum([look.norms.sum() for look in looks]) if looks else []
    total = torch.stack([value.to(norms[0]) for value in losses.values()]).sum()
    loss, *lengths = torch.stack([total, *(value.to(norms[0]) for value in norms)]).tolist()
    if not (math.isfinite(loss) and sum(lengths) < torch.finfo(norms[0].dtype).max ** 0.5 / 16):
        check_finite_groups(losses, [look.group for look in looks])
        rule = "must have finite squares"
        remedy = "Nothing was changed: divide the losses, or skip the batch."
        raise NonFiniteError("gradient", rule, "elements near the root of the largest float", remedy)
    return float(sum(lengths))
