"""The interface that every method shares: losses in, ``.grad`` filled, information out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn

from bogc.balancing.info import StepInfo
from bogc.errors import StateError
from bogc.gradients import ModalityPartition, check_finite_step, check_losses
from bogc.gradients.graph import leaves


@dataclass(frozen=True, eq=False)
class Step:
    """What a method computes from one batch, before anything is changed.

    Attributes:
        gradients: Parameter -> what is to be added to its ``.grad``.
        info: What may be logged.
        state: What the next step needs; replaces the old state as a whole.
    """

    gradients: Mapping[nn.Parameter, Tensor]
    info: StepInfo
    state: Mapping[str, Any] = field(default_factory=dict)


class Balancer(ABC):
    """Turns per-sample losses into the gradient that the optimiser sees.

    ``backward`` takes the place of ``loss.backward()``: it *adds* to ``.grad``, so accumulation works, and it
    touches neither the optimiser nor the modules. With DistributedDataParallel, gradients are not reduced.

    Args:
        partition: Which modules belong to which modality.
    """

    def __init__(self, partition: ModalityPartition) -> None:
        self.partition = partition
        self._state: Mapping[str, Any] = {}
        self._covered: set[str] = set()  # sources whose graph was seen to stay within the partition

    @abstractmethod
    def step(self, losses: Mapping[str, Tensor], state: Mapping[str, Any]) -> Step:
        """Compute one step from checked losses; a pure function of its arguments and the parameters."""

    @final
    def backward(self, losses: Mapping[str, Tensor]) -> StepInfo:
        """Fill ``.grad`` from one loss vector [N] a source; a modality missing from the batch is left out.

        Returns:
            What the step saw, for logging.

        Raises:
            LossError, DtypeError, DeviceError: The losses are not as described.
            PartitionError: A loss reaches a parameter outside the partition.
            NonFiniteError: A gradient is NaN or infinite; nothing has been changed.
        """
        check_losses(losses, self.partition)
        if not losses.keys() <= self._covered:  # walk the graph once, not every step
            reached = [leaf for leaf in leaves(losses.values()) if isinstance(leaf, nn.Parameter)]
            self.partition.check_complete(reached)
            self._covered |= losses.keys()
        self.partition.check_trainable()
        step = self.step(losses, self._state)
        with torch.no_grad():
            for parameter, gradient in step.gradients.items():
                if parameter.grad is None:
                    parameter.grad = gradient.to(parameter.dtype, copy=True)
                else:
                    parameter.grad.add_(gradient)
        self._state = step.state
        return step.info

    def state_dict(self) -> dict[str, Any]:
        """Return the carried state as nested dicts of tensors and numbers."""
        return {"method": type(self).__name__, "state": dict(self._state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            StateError: The state is another method's.
        """
        if state.get("method") != type(self).__name__:
            raise StateError(
                "state", f"must come from {type(self).__name__}", state.get("method"), "Load its own."
            )
        self._state = dict(state["state"])


def plain_step(losses: Mapping[str, Tensor], partition: ModalityPartition) -> Step:
    """Gradient of the sum over sources of the mean loss, in one backward pass.

    Raises:
        NonFiniteError: A gradient is NaN or infinite.
    """
    means = {source: loss.mean() for source, loss in losses.items()}
    total = torch.stack(list(means.values())).sum()
    parameters = partition.parameters
    found = torch.autograd.grad(total, parameters, allow_unused=True)
    gradients = {p: g for p, g in zip(parameters, found, strict=True) if g is not None}
    check_finite_step(
        {f"losses[{source!r}]": [mean] for source, mean in means.items()}
        | {f"gradient of losses {', '.join(losses)}": list(gradients.values())}
    )
    return Step(gradients, StepInfo({source: mean.detach() for source, mean in means.items()}))
