"""What a run carries from step to step, and how it is saved and restored."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from bogc.methods import Balancer
from bogc.methods.methods import build_balancer
from bogc.data import MultimodalDataset
from bogc.gradients import Alone, Team
from bogc.models import over_team
from bogc.training.config import TrainConfig
from bogc.training.networks import Network, build_network
from bogc.training.seeding import rng_state, set_rng_state


@dataclass
class Best:
    """The best epoch so far by validation accuracy, ties broken by lower loss."""

    accuracy: float = -1.0
    nll: float = float("inf")
    epoch: int = -1
    weights: dict[str, Tensor] = field(default_factory=dict)

    def consider(self, accuracy: float, nll: float, epoch: int, model: Network) -> None:
        """Keep a copy of the weights if this epoch is better."""
        if (accuracy, -nll) > (self.accuracy, -self.nll):
            self.accuracy, self.nll, self.epoch = accuracy, nll, epoch
            self.weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


@dataclass
class TrainingState:
    """Model, optimiser, schedule, balancer, and the position in the data.

    Attributes:
        epoch: Epochs completed.
        batch: Batches of the current epoch completed.
        step: Optimiser steps completed.
        seconds: CPU time spent in steps, over all resumptions; on a GPU, elapsed time.
        best: Best epoch so far.
    """

    model: Network
    optimiser: SGD
    schedule: CosineAnnealingLR
    balancer: Balancer
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: Best = field(default_factory=Best)

    @classmethod
    def create(
        cls, config: TrainConfig, train: MultimodalDataset, steps_per_epoch: int, team: Team | None = None
    ) -> "TrainingState":
        """Initialise from the global generator, on the device of the data; alike in every process."""
        team = team or Alone()
        model = build_network(config, train)
        over_team(model, team)
        optimiser = SGD(
            model.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
        steps = config.epochs * steps_per_epoch
        schedule = CosineAnnealingLR(optimiser, T_max=steps)
        balancer = build_balancer(config.method, model, config.method_settings, steps)
        balancer.share_with(team)
        return cls(model, optimiser, schedule, balancer)

    def state_dict(self, digest: str) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "digest": digest,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "balancer": self.balancer.state_dict(),
            "position": {n: getattr(self, n) for n in ("epoch", "batch", "step", "seconds")},
            "best": dict(vars(self.best)),
            "rng": rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of state_dict; also sets the global generators."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        device = next(self.model.parameters()).device
        self.balancer.load_state_dict(_to(state["balancer"], device))
        for name, value in state["position"].items():
            setattr(self, name, value)
        self.best = Best(**state["best"])
        set_rng_state(state["rng"])


def _to(value: Any, device: torch.device) -> Any:
    """Move all tensors of nested dicts and lists."""
    if isinstance(value, dict):
        return {name: _to(item, device) for name, item in value.items()}
    if isinstance(value, list):
        return [_to(item, device) for item in value]
    return value.to(device) if isinstance(value, Tensor) else value
