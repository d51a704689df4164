"""What every training objective of the generative models has in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.errors import ConfigError
from bogc.models.generative.mdrnn import MDRNN


@dataclass(frozen=True, eq=False)
class Memory:
    """What an objective carries from one step to the next.

    Attributes:
        activity: Running mean activity of the joint hidden units, [H].
        chains: Modality -> states of the persistent chains, [chains, width]; empty without any.
    """

    activity: Float[Tensor, " H"]
    chains: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Step:
    """What a batch yields.

    Attributes:
        loss: What is differentiated: the objective and its sparsity penalty.
        objective: The objective alone, detached; for reports.
        memory: For the next step.
    """

    loss: Float[Tensor, ""]
    objective: Float[Tensor, ""]
    memory: Memory


class Objective(ABC):
    """Settings of a training method; all that changes during training is in ``Memory``."""

    def parameters(self, network: MDRNN) -> Iterable[nn.Parameter]:
        """What is trained: the joint layer, with the paths below it held, unless a subclass says more."""
        return network.joint.parameters()

    def start(self, network: MDRNN, generator: torch.Generator | None) -> Memory:
        """Memory before the first step."""
        return Memory(torch.zeros_like(network.joint.hidden_bias, requires_grad=False))

    @abstractmethod
    def step(
        self, network: MDRNN, batch: Mapping[str, Tensor], memory: Memory, generator: torch.Generator | None
    ) -> Step:
        """Evaluate a batch with every modality, [N, width], values in [0, 1]; nothing is changed."""


def check_several(network: MDRNN) -> None:
    """Raise ConfigError unless one modality can be predicted from another."""
    if len(network.joint.names) < 2:
        remedy = "Train a single modality with PersistentCD."
        raise ConfigError("network", "must have two modalities or more", list(network.joint.names), remedy)
