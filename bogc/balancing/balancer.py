"""The interface that every method shares: losses in, ``.grad`` filled, information out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from bogc.balancing.info import StepInfo
from bogc.balancing.observation import Gradients, Observation
from bogc.balancing.share import MICRO_BATCHES, PROCESSES, Earlier, Share, agree, check_unsharded
from bogc.errors import BogcError, StateError, UnsuitableError
from bogc.gradients import (
    ModalityPartition,
    MomentEstimator,
    Streaming,
    Team,
    check_finite_step,
    check_losses,
    current_team,
)
from bogc.gradients.graph import leaves, mixes_processes
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
    """

    gradients: Gradients
    info: StepInfo
    state: Mapping[str, Any] = field(default_factory=dict)
    commit: Callable[[], None] = nothing


class Balancer(ABC):
    """Turns per-sample losses into the gradient that the optimiser sees.

    ``backward`` takes the place of ``loss.backward()``: it *adds* to ``.grad`` and touches neither the
    optimiser nor the network's modules. Where torch.distributed has a process group, each process passes the
    losses of its part of the batch, and all get the gradient of the whole batch, not to be reduced again.

    Args:
        partition: Which modules belong to which modality.
        members: The method's own modules and optimisers by name, saved with its state.
    """

    divisible: ClassVar[Sequence[str]] = ()
    """Over what a batch may be spread, PROCESSES or MICRO_BATCHES: both where ``step`` looks only at what an
    Observation tells of the whole batch, ``values``, ``parts`` and ``gradient``. Otherwise it is refused."""

    estimator: MomentEstimator = Streaming()
    """What ``step`` measures of each source's gradient; by default its mean is all that is used."""

    def __init__(self, partition: ModalityPartition, members: Mapping[str, Stateful] | None = None) -> None:
        self.partition = partition
        self._members = dict(members or {})
        self._state: Mapping[str, Any] = {}
        self._covered: set[str] = set()  # sources whose graph was seen to stay within the partition
        self._team: Team | None = None
        self._earlier = Earlier()

    @abstractmethod
    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """Compute one step from checked losses.

        A function of its arguments, the parameters and, in methods that add noise, the global generator; it
        changes nothing.
        """

    def share_with(self, team: Team) -> None:
        """Spread batches over ``team``, rather than over torch.distributed's default group if there is one.

        ``Alone()`` is for processes that train separate networks, ``Processes(group)`` for a part of them.
        """
        self._team = team

    def check_divisible(self, over: str) -> None:
        """Raise UnsuitableError if the method would not be exact on a batch spread ``over`` several parts."""
        if over not in self.divisible:
            rule = f"must be exact on a batch that is spread over {over}"
            found = f"{type(self).__name__}, which looks at more of it than adds up"
            raise UnsuitableError("method", rule, found, "Use one process and one batch, or another method.")

    @final
    def accumulate(self, losses: Mapping[str, Tensor]) -> None:
        """Take in a micro-batch; the next ``backward`` adds the last and gives the gradient of them all.

        Unlike adding up the gradients of micro-batches, this is the large batch's gradient for methods that
        are not linear in the losses too: gradients of the sources are kept, and their moments merged. Nothing
        is changed before ``backward``, which forgets the micro-batches whether it succeeds or not.

        Raises:
            UnsuitableError: The method looks at more than can be merged.
            LossError, DtypeError, DeviceError, PartitionError, ProcessError: As for ``backward``.
        """
        share = self._share(losses)
        self.check_divisible(MICRO_BATCHES)
        parts = share.own_parts(losses, self.estimator, self.partition.blocks)
        self._earlier = Earlier(parts, share.own_totals(losses), share.counts)

    @final
    def backward(
        self,
        losses: Mapping[str, Tensor],
        outputs: ModalOutputs | None = None,
        targets: Tensor | None = None,
    ) -> StepInfo:
        """Fill ``.grad`` from one loss vector [N] a source; a modality missing from the batch is left out.

        Args:
            losses: One loss a sample and source.
            outputs: What the network returned; only OGM-GE and CGGM look at it.
            targets: What the losses compare with; likewise.

        Returns:
            What the step saw, for logging.

        Raises:
            LossError, DtypeError, DeviceError: The losses are not as described, or outputs are needed.
            PartitionError: A loss reaches a parameter outside the partition, as after ``fully_shard``.
            NonFiniteError: A gradient is NaN or infinite; nothing has been changed.
            UnsuitableError: The batch is spread over processes, and the method, or a layer over all of them,
                would not be exact there; or parameters are sharded.
            ProcessError: Another process refused its losses, or cannot be reached.
        """
        try:
            share = self._share(losses)
            if share.team.size > 1:
                self.check_divisible(PROCESSES)
            step = self.step(Observation(losses, outputs, targets, share), self._state)
        finally:
            self._earlier = Earlier()
        with torch.no_grad():
            for parameter, gradient in step.gradients.items():
                if parameter.grad is None:
                    parameter.grad = gradient.to(parameter.dtype, copy=True)
                else:
                    parameter.grad.add_(gradient)
        step.commit()
        self._state = step.state
        return step.info

    def _share(self, losses: Mapping[str, Tensor]) -> Share:
        """Check the losses and find where they stand; fails in every process if it fails in one."""
        team = self._team or current_team()
        problem, mixed = None, False
        try:
            self._check(losses)
            mixed = team.size > 1 and mixes_processes(losses.values())
            if mixed and not self.estimator.alike(losses, self.partition.blocks):
                raise _not_alike(self.estimator)
        except BogcError as error:
            problem = error
        places = agree(losses, self.partition, team, self._earlier.counts, problem, mixed)
        return Share(places, team, self._earlier)

    def _check(self, losses: Mapping[str, Tensor]) -> None:
        check_unsharded(self.partition.parameters)
        check_losses(losses, self.partition)
        if not losses.keys() <= self._covered:  # walk the graph once, not every step
            reached = [leaf for leaf in leaves(losses.values()) if isinstance(leaf, nn.Parameter)]
            self.partition.check_complete(reached)
            self._covered |= losses.keys()
        self.partition.check_trainable()

    def state_dict(self) -> dict[str, Any]:
        """Return the carried state as nested dicts of tensors and numbers."""
        members = {name: member.state_dict() for name, member in self._members.items()}
        return {"method": type(self).__name__, "state": dict(self._state), "members": members}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, on the device of the parameters.

        Raises:
            StateError: The state is another method's, or incomplete.
        """
        if state.get("method") != type(self).__name__:
            raise StateError(
                "state", f"must come from {type(self).__name__}", state.get("method"), "Load its own."
            )
        if not state.keys() >= {"state", "members"} or not state["members"].keys() >= self._members.keys():
            rule = f"must hold 'state' and 'members' with {list(self._members)}"
            raise StateError("state", rule, list(state), "Load what state_dict returned.")
        device = self.partition.parameters[0].device  # loaders of other libraries read on to the CPU
        self._state = tree_map_only(Tensor, lambda value: value.to(device), dict(state["state"]))
        for name, member in self._members.items():
            member.load_state_dict(state["members"][name])


def _not_alike(estimator: MomentEstimator) -> UnsuitableError:
    rule = "must make as many backward passes in every process where a layer is over all of them"
    remedy = "Use Streaming or Grouped moments; or PerRow, with layers in LAYERS alone, as TeamBatchNorm is."
    return UnsuitableError("estimator", rule, type(estimator).__name__, remedy)


def check_step(means: Mapping[str, Tensor], gradients: Gradients) -> None:
    """Raise NonFiniteError if a mean loss or a gradient is NaN or infinite; one read of the device."""
    check_finite_step(
        {f"losses[{source!r}]": [mean] for source, mean in means.items()}
        | {f"gradient of losses {', '.join(means)}": list(gradients.values())}
    )


def plain_step(
    seen: Observation,
    weights: Mapping[str, Tensor | float],
    balancer: Balancer,
    factors: Mapping[str, Tensor] | None = None,
) -> Step:
    """Gradient of the sum over sources of weight times mean loss, in one backward pass.

    Args:
        seen: The batch.
        weights: By source; sources without one, or not in the batch, do not count.
        balancer: Whose step it is.
        factors: What is reported as each source's factor.

    Raises:
        NonFiniteError: A gradient is NaN or infinite.
    """
    values = {source: value for source, value in seen.values().items() if source in weights}
    gradients = seen.gradient(weights, balancer.partition, balancer.estimator)
    check_step(values, gradients)
    return Step(gradients, StepInfo.of(values, factors))
