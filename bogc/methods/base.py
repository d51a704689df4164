"""The interface that every method shares: losses in, ``.grad`` filled, information out."""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from bogc.checks import check_type
from bogc.distributed import ProcessGroup, current_group
from bogc.errors import NonFiniteError, StateError, UnreachedWarning, UnsuitableError
from bogc.gradients import (
    Closure,
    ModalityPartition,
    MomentEstimator,
    Reevaluation,
    Successive,
    check_finite_step,
    check_losses,
    leaves,
    mixes_processes,
)
from bogc.gradients.closure import evaluate
from bogc.gradients.sharded import holders, placed
from bogc.methods.batch import (
    MICRO_BATCHES,
    PROCESSES,
    SHARDS,
    BatchView,
    Earlier,
    Gradients,
    agree,
)
from bogc.methods.info import StepInfo
from bogc.models import ModalOutputs


@runtime_checkable
class Stateful(Protocol):
    """A module or an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything to be saved."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Restore it."""
        ...


@runtime_checkable
class Scaler(Protocol):
    """A ``torch.amp.GradScaler``."""

    def scale(self, outputs: Tensor) -> Tensor:
        """Multiply by the loss scale."""
        ...


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, eq=False)
class Step:
    """What a method computes from one batch, before anything is changed.

    Attributes:
        gradients: Parameter -> what is to be added to its ``.grad``.
        info: What may be logged.
        state: What the next step needs; replaces the old state as a whole.
        commit: Called once the gradients are accepted: updates the method's own modules, if it has any.
        owned: Whether nothing else holds the gradients, so that they may become ``.grad`` as they are.
    """

    gradients: Gradients
    info: StepInfo
    state: Mapping[str, Any] = field(default_factory=dict)
    commit: Callable[[], None] = nothing
    owned: bool = False


class Balancer(ABC):
    """Turns per-sample losses into the gradient that the optimiser sees.

    ``backward`` takes the place of ``loss.backward()``: it *adds* to ``.grad`` and touches neither the
    optimiser nor the network's modules. Where torch.distributed has a process group, each process passes the
    losses of its part of the batch, and all get the gradient of the whole batch, not to be reduced again.

    Args:
        partition: Which modules belong to which modality.
        members: The method's own modules and optimisers by name, saved with its state.
    """

    supports: ClassVar[Sequence[str]] = ()
    """Over what a batch may be spread, PROCESSES or MICRO_BATCHES: both where ``step`` looks only at what a
    BatchView tells of the whole batch, ``values``, ``groups`` and ``gradient``. SHARDS where besides all that
    looks at several dimensions goes through a Layout. Otherwise it is refused."""

    estimator: MomentEstimator = Successive()
    """What ``step`` measures of each source's gradient; by default its mean is all that is used."""

    def __init__(self, partition: ModalityPartition, members: Mapping[str, Stateful] | None = None) -> None:
        remedy = 'Pass ModalityPartition({"audio": model.audio, ...}, shared=[model.fusion]).'
        check_type("partition", partition, ModalityPartition, remedy)
        self.partition = partition
        self._members = dict(members or {})
        self._state: Mapping[str, Any] = {}
        self._covered: set[str] = set()  # sources whose graph was seen to stay within the partition
        self._noticed: set[object] = set()  # sets of parameters that no loss reached, as warned of
        self._team: ProcessGroup | None = None
        self._earlier = Earlier()

    @abstractmethod
    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """Compute one step from checked losses.

        A function of its arguments, the parameters and, in methods that add noise, the global generator. It
        may change its own state once the gradients are known to be finite, and nothing else.
        """

    @property
    def unit(self) -> float:
        """Power of two that gradients are divided by while they are added up."""
        return 1.0

    def share_with(self, team: ProcessGroup) -> None:
        """Spread batches over ``team``, rather than over torch.distributed's default group if there is one.

        ``SingleProcess()`` is for processes that train separate networks, ``DistributedProcesses(group)``
        for a part of them.
        """
        self._team = team

    def check_supports(self, over: str) -> None:
        """Raise UnsuitableError if the method would not be exact on a batch spread ``over`` several parts."""
        rule = f"must be exact on a batch that is spread over {over}"
        if over not in self.supports:
            found = f"{type(self).__name__}, which looks at more of it than adds up"
            raise UnsuitableError("method", rule, found, "Use one process and one batch, or another method.")
        if self.estimator.within_batch:
            found = f"{type(self.estimator).__name__}, which looks at the samples of one batch"
            raise UnsuitableError(
                "estimator", rule, found, "Use Successive moments, or one process and batch."
            )

    @final
    def accumulate(self, losses: Mapping[str, Tensor]) -> None:
        """Take in a micro-batch; the next ``backward`` adds the last and gives the gradient of them all.

        Unlike adding up the gradients of micro-batches, this is the large batch's gradient for methods that
        are not linear in the losses too: gradients of the sources are kept. Nothing is changed before
        ``backward``, which forgets the micro-batches whether it succeeds or not.

        Raises:
            UnsuitableError: The method looks at more than adds up.
            LossError, DtypeError, DeviceError, PartitionError, ProcessError: As for ``backward``.
        """
        if self.partition.sharded:
            rule, remedy = (
                "must not be sharded, for micro-batches",
                "Use smaller batches, or activation checkpointing.",
            )
            raise UnsuitableError("parameters", rule, "DTensors", remedy)
        seen = self._look(losses)
        self.check_supports(MICRO_BATCHES)
        self._earlier = Earlier(seen.own_sums(self.unit), seen.own_totals(), seen.counts)

    @final
    def backward(
        self,
        losses: Mapping[str, Tensor] | Closure,
        outputs: ModalOutputs | None = None,
        targets: Tensor | None = None,
        *,
        scaler: Scaler | None = None,
    ) -> StepInfo:
        """Fill ``.grad`` from one loss vector [N] a source; a modality missing from the batch is left out.

        Args:
            losses: One loss a sample and source, not scaled; or a closure that returns them, as torch's LBFGS
                takes one. Methods that draw parameters need a closure, others call it once.
            outputs: What the network returned; only OGM-GE and CGGM look at it.
            targets: What the losses compare with; likewise.
            scaler: A ``torch.amp.GradScaler`` of fp16 training. Gradients are taken at its scale, ``.grad``
                is
                left at that scale for ``scaler.step``, and where they overflow it is filled with infinity, as
                the scaler expects, and nothing else is changed.

        Returns:
            What the step saw, for logging.

        Raises:
            LossError, DtypeError, DeviceError: The losses are not as described, or outputs are needed.
            PartitionError: A loss reaches a parameter outside the partition.
            NonFiniteError: A gradient is NaN or infinite; nothing has been changed.
            UnsuitableError: The batch is spread over processes, and the method, or a layer over all of them,
                would not be exact there; or the parameters are sharded, and the method does not support it;
                or autograd cannot enter a layer.
            ProcessError: Another process refused its losses, or cannot be reached.
        """
        again, failed = None, None
        if callable(losses):
            try:
                again, losses = self._evaluate(losses)
            except Exception as error:  # in one of several processes: the others are told
                failed, losses = error, {}
        try:
            seen = self._look(losses, outputs, targets, scaler, again, failed)
            if seen.team.size > 1:
                self.check_supports(PROCESSES)
            step = self.step(seen, self._state)
        except NonFiniteError:
            if scaler is None:
                raise
            return self._overflow(losses)
        finally:
            self._earlier = Earlier()
        _add(step, seen.scale)
        step.commit()
        self._state = step.state
        if len(step.gradients) < len(self.partition.parameters):
            self._notice(losses, step.gradients)
        return step.info

    def state_dict(self) -> dict[str, Any]:
        """Return the carried state as nested dicts of tensors and numbers."""
        members = {name: member.state_dict() for name, member in self._members.items()}
        return {"method": type(self).__name__, "state": self._saved(), "members": members}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, on the device of the parameters.

        Raises:
            StateError: The state is another method's or network's, or incomplete; nothing has been changed.
        """
        if not isinstance(state, Mapping) or state.get("method") != type(self).__name__:
            found = state.get("method") if isinstance(state, Mapping) else type(state).__name__
            raise StateError("state", f"must come from {type(self).__name__}", found, "Load its own.")
        members = state.get("members")
        if (
            "state" not in state
            or not isinstance(members, Mapping)
            or not members.keys() >= self._members.keys()
        ):
            rule = f"must hold 'state' and 'members' with {list(self._members)}"
            raise StateError("state", rule, list(state), "Load what state_dict returned.")
        device = self.partition.parameters[0].device  # loaders of other libraries read on to the CPU
        moved = tree_map_only(Tensor, lambda value: value.to(device), state["state"])
        restored = self._restored(moved)
        before = {name: copy.deepcopy(member.state_dict()) for name, member in self._members.items()}
        try:
            for name, member in self._members.items():
                member.load_state_dict(members[name])
        except Exception as error:  # of whatever kind the member raises
            for name, member in self._members.items():
                member.load_state_dict(before[name])
            rule, found = "must fit the method's own modules", f"{type(error).__name__}: {error}"
            raise StateError("state", rule, found, "Load that of the same network.") from error
        self._state = restored

    def _saved(self) -> Any:
        """The state as nested dicts of tensors and numbers, copied."""
        return tree_map_only(Tensor, torch.clone, dict(self._state))

    def _restored(self, state: Any) -> Mapping[str, Any]:
        """Inverse of ``_saved``.

        Raises:
            StateError: It is something else.
        """
        if not isinstance(state, Mapping):
            raise StateError("state", "must be a mapping", type(state).__name__, "Load its own.")
        return dict(state)

    def _look(
        self,
        losses: Mapping[str, Tensor],
        outputs: ModalOutputs | None = None,
        targets: Tensor | None = None,
        scaler: Scaler | None = None,
        again: Reevaluation | None = None,
        failed: Exception | None = None,
    ) -> BatchView:
        """Check the losses and count the batch; fails in every process if it fails in one."""
        team = self._team or current_group()
        problem, mixed = failed, False
        try:
            if failed is None:
                self._check(losses)
                mixed = team.size > 1 and (self.partition.sharded or mixes_processes(losses))
        except Exception as error:  # whatever it is, the other processes wait for a word
            problem = error
        counts = agree(losses, self.partition, team, self._earlier.counts, problem, mixed)
        scale = None if scaler is None else scaler.scale(next(iter(losses.values())).new_ones(()).float())
        return BatchView(losses, self.partition, counts, outputs, targets, team, self._earlier, scale, again)

    def _evaluate(self, closure: Closure) -> tuple[Reevaluation | None, Mapping[str, Tensor]]:
        """Losses of a closure, and what evaluates it again if the method will."""
        if not self.estimator.needs_closure:
            return None, evaluate(closure)
        again = Reevaluation(closure, self.partition)
        return again, again.losses

    def _check(self, losses: Mapping[str, Tensor]) -> None:
        if self.partition.refresh():
            self._covered.clear()
            self._forget_gone()
        check_losses(losses, self.partition)
        if self.partition.sharded:  # whose graph leads to copies
            self.check_supports(SHARDS)
        elif not losses.keys() <= self._covered:  # walk the graph once, not every step
            reached = [leaf for leaf in leaves(losses.values()) if isinstance(leaf, nn.Parameter)]
            self.partition.check_complete(reached)
            self._covered |= losses.keys()

    def _forget_gone(self) -> None:
        """Forget what is carried of parameters that are frozen or gone; by default nothing is."""
        return

    def _notice(self, losses: Mapping[str, Tensor], gradients: Gradients) -> None:
        """Warn once of each set of parameters that no loss reaches, those of absent modalities apart."""
        left = tuple(id(p) for p in self.partition.parameters if p not in gradients)
        key = (left, tuple(losses))
        if key in self._noticed:
            return
        self._noticed.add(key)
        reached = {id(leaf) for leaf in leaves(losses.values())}
        absent = set(self.partition.modalities) - losses.keys()
        owners = {id(p): b.modality for b in self.partition.blocks for p in b.parameters}
        missed = [
            p
            for p in self.partition.parameters
            if id(p) in left and id(p) not in reached and owners[id(p)] not in absent
        ]
        if missed:
            names = self.partition.names_of(missed)
            found = f"{', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
            text = f"No loss reaches {found}: not trained. Look for a detach(), or leave the module out."
            warnings.warn(text, UnreachedWarning, stacklevel=3)

    def _overflow(self, losses: Mapping[str, Tensor]) -> StepInfo:
        """Fill ``.grad`` with infinity, so that a GradScaler skips the step."""
        for parameter in self.partition.parameters:
            parameter.grad = torch.full_like(parameter, float("inf"))
        return StepInfo({source: loss.detach().mean() for source, loss in losses.items()})


@torch.no_grad()
def _add(step: Step, scale: Tensor | None) -> None:
    """Add the gradients of a step to ``.grad``."""
    for parameter, found in step.gradients.items():
        gradient = placed(found if scale is None else found * scale.to(found), parameter)
        old = parameter.grad
        if old is None:
            own = step.owned and gradient.dtype == parameter.dtype
            parameter.grad = gradient if own else gradient.to(parameter.dtype, copy=True)
        elif old.layout is torch.strided and old.is_contiguous() and not old.is_inference():
            old.add_(gradient)
        else:  # sparse, expanded or read-only memory cannot be added to
            parameter.grad = (gradient + old.to_dense()).to(parameter.dtype)


def check_step(means: Mapping[str, Tensor], gradients: Gradients) -> None:
    """Raise NonFiniteError if a mean loss or a gradient is NaN or infinite; one read of the device."""
    parts = {f"losses[{source!r}]": [mean] for source, mean in means.items()}
    parts[f"gradient of losses {', '.join(means)}"] = list(gradients.values())
    check_finite_step(parts, next((holders(parameter) for parameter in gradients), None))


def plain_step(
    seen: BatchView, weights: Mapping[str, Tensor | float], factors: Mapping[str, Tensor] | None = None
) -> Step:
    """Gradient of the sum over sources of weight times mean loss, in one backward pass.

    Args:
        seen: The batch.
        weights: By source; sources without one, or not in the batch, do not count.
        factors: What is reported as each source's factor.

    Raises:
        NonFiniteError: A gradient is NaN or infinite.
    """
    values = {source: value for source, value in seen.values().items() if source in weights}
    gradients = seen.gradient(weights)
    check_step(values, gradients)
    return Step(gradients, StepInfo.of(values, factors))
