"""The interface that every method shares: losses in, ``.grad`` filled, information out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from bogc.balancing.info import StepInfo
from bogc.balancing.observation import Observation
from bogc.errors import StateError
from bogc.gradients import ModalityPartition, check_finite_step, check_losses
from bogc.gradients.graph import leaves
from bogc.models import ModalOutputs

Gradients = Mapping[nn.Parameter, Tensor]


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

    ``backward`` takes the place of ``loss.backward()``: it *adds* to ``.grad``, so accumulation works, and it
    touches neither the optimiser nor the network's modules. With DistributedDataParallel, gradients are not
    reduced.

    Args:
        partition: Which modules belong to which modality.
        members: The method's own modules and optimisers by name, saved with its state.
    """

    def __init__(self, partition: ModalityPartition, members: Mapping[str, Stateful] | None = None) -> None:
        self.partition = partition
        self._members = dict(members or {})
        self._state: Mapping[str, Any] = {}
        self._covered: set[str] = set()  # sources whose graph was seen to stay within the partition

    @abstractmethod
    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """Compute one step from checked losses.

        A function of its arguments, the parameters and, in methods that add noise, the global generator; it
        changes nothing.
        """

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
            PartitionError: A loss reaches a parameter outside the partition.
            NonFiniteError: A gradient is NaN or infinite; nothing has been changed.
        """
        check_losses(losses, self.partition)
        if not losses.keys() <= self._covered:  # walk the graph once, not every step
            reached = [leaf for leaf in leaves(losses.values()) if isinstance(leaf, nn.Parameter)]
            self.partition.check_complete(reached)
            self._covered |= losses.keys()
        self.partition.check_trainable()
        step = self.step(Observation(losses, outputs, targets), self._state)
        with torch.no_grad():
            for parameter, gradient in step.gradients.items():
                if parameter.grad is None:
                    parameter.grad = gradient.to(parameter.dtype, copy=True)
                else:
                    parameter.grad.add_(gradient)
        step.commit()
        self._state = step.state
        return step.info

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


def gradients_of(total: Tensor, partition: ModalityPartition, retain_graph: bool = False) -> Gradients:
    """Gradient of a scalar in one backward pass; parameters that it does not reach are left out."""
    parameters = partition.parameters
    found = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=retain_graph)
    return {p: g for p, g in zip(parameters, found, strict=True) if g is not None}


def check_step(means: Mapping[str, Tensor], gradients: Gradients) -> None:
    """Raise NonFiniteError if a mean loss or a gradient is NaN or infinite; one read of the device."""
    check_finite_step(
        {f"losses[{source!r}]": [mean] for source, mean in means.items()}
        | {f"gradient of losses {', '.join(means)}": list(gradients.values())}
    )


def plain_step(means: Mapping[str, Tensor], partition: ModalityPartition, info: StepInfo) -> Step:
    """Gradient of the sum of ``means``, mean losses by source and possibly weighted, in one backward pass.

    Raises:
        NonFiniteError: A gradient is NaN or infinite.
    """
    gradients = gradients_of(torch.stack(list(means.values())).sum(), partition)
    check_step(means, gradients)
    return Step(gradients, info)
