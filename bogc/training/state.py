"""What a run carries from step to step, how it is made from a configuration, and one step of it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from bogc.data import MultimodalBatch, MultimodalDataset
from bogc.distributed import ProcessGroup, SingleProcess
from bogc.errors import MomentumWarning, StateError
from bogc.gradients import FUSION
from bogc.gradients.sharded import gathered, is_sharded, spread_like
from bogc.methods import METHODS, SHARDS, Balancer, StepInfo, build_balancer
from bogc.methods.registry import EXPERTS
from bogc.models import FUSIONS, ModalOutputs, MultimodalClassifier, ProductOfExperts, over_team
from bogc.training.config import OPTIMISERS, TrainConfig


def batch_order(samples: int, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """Return the batches of an epoch, a function of seed and epoch alone: resuming needs no generator.

    A last incomplete batch is left out, unless it is the only one: batch statistics of a few samples are
    noise, and the order differs each epoch.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    batches = torch.randperm(samples, generator=generator).split(batch_size)
    complete = [batch for batch in batches if len(batch) == batch_size]
    return complete or list(batches)


def own_part(batch: Tensor, rank: int, processes: int) -> Tensor:
    """The part of a batch that one of several processes takes: neighbours, sizes differing by one at most.

    The batches are the same however many processes there are, and so is the order of samples within one.
    """
    return batch.tensor_split(processes)[rank]


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed torch's global generator and ask for deterministic algorithms; both are restored on leaving."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def rng_state() -> dict[str, list[Tensor]]:
    """State of the global generators, CPU and CUDA."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": [torch.get_rng_state()], "cuda": cuda}


def set_rng_state(state: dict[str, list[Tensor]]) -> None:
    """Inverse of rng_state, on a machine with as many GPUs."""
    torch.set_rng_state(state["cpu"][0])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


Network = MultimodalClassifier | ProductOfExperts


def build_network(config: TrainConfig, dataset: MultimodalDataset) -> Network:
    """Initialise from the global generator the kind of network that the method trains, on the data's device.

    Every method gets the same encoders and the same fusion head; a product of experts has a set of encoders
    more, that of its joint expert.
    """
    samples = {modality: value[0] for modality, value in dataset.inputs.items()}
    kind = ProductOfExperts if METHODS[config.method].model == EXPERTS else MultimodalClassifier
    model = kind.for_samples(samples, dataset.n_classes, config.features, FUSIONS[config.fusion])
    model.to(dataset.targets.device)
    return model


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
            held = {name: value.detach() for name, value in model.state_dict().items()}
            self.weights = {n: v.clone() if is_sharded(v) else v.cpu().clone() for n, v in held.items()}


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
    optimiser: Optimizer
    schedule: CosineAnnealingLR
    balancer: Balancer
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: Best = field(default_factory=Best)

    @classmethod
    def create(
        cls,
        config: TrainConfig,
        train: MultimodalDataset,
        steps_per_epoch: int,
        team: ProcessGroup | None = None,
        shard: bool = False,
    ) -> "TrainingState":
        """Initialise from the global generator, on the device of the data; alike in every process.

        Raises:
            UnsuitableError: The parameters are to be sharded, and the method does not support it.
        """
        team = team or SingleProcess()
        model = build_network(config, train)
        over_team(model, team)
        if shard:
            _shard(model)
        optimiser = OPTIMISERS[config.optimiser](model.parameters(), config)
        steps = config.last_epoch * steps_per_epoch
        schedule = CosineAnnealingLR(optimiser, T_max=(config.extend or config.epochs) * steps_per_epoch)
        balancer = build_balancer(config.method, model, config.method_settings, steps, len(train))
        balancer.share_with(team)
        if shard:
            balancer.check_supports(SHARDS)
        _warn_of_momentum(balancer, config)
        return cls(model, optimiser, schedule, balancer)

    def state_dict(self, digest: str) -> dict[str, Any]:
        """Everything needed to go on, as whole tensors and plain values; sharded processes all take part."""
        return {
            "digest": digest,
            "model": gathered(self.model.state_dict()),
            "optimiser": gathered(self.optimiser.state_dict()),
            "schedule": self.schedule.state_dict(),
            "balancer": self.balancer.state_dict(),
            "position": self._position(),
            "best": gathered(dict(vars(self.best))),
            "rng": rng_state(),
        }

    def _position(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in ("epoch", "batch", "step", "seconds")}

    def extend(self, state: dict[str, Any]) -> None:
        """Go on from the state of a finished run, with learning rate and schedule as they are here."""
        fresh, rates = self.schedule.state_dict(), [group["lr"] for group in self.optimiser.param_groups]
        self.load_state_dict(state)
        self.schedule.load_state_dict(fresh)
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of state_dict; also sets the global generators.

        Raises:
            StateError: It is not the state of such a run. What of it was taken in by then stays.
        """
        fresh = {"schedule": self.schedule.state_dict(), "position": self._position(), "best": vars(Best())}
        for part, expected in fresh.items():
            _check_like(part, state[part], expected)
        best = self._spread(state["best"]["weights"])
        _check_like("best weights", best, self.model.state_dict() if best else {})
        self.model.load_state_dict(self._spread(state["model"]))
        self.optimiser.load_state_dict(state["optimiser"])
        for parameter, own in self.optimiser.state.items():
            own.update({n: spread_like(v, parameter) for n, v in own.items() if isinstance(v, Tensor)})
        self.schedule.load_state_dict(state["schedule"])
        device = next(self.model.parameters()).device
        self.balancer.load_state_dict(_to(state["balancer"], device))
        for name, value in state["position"].items():
            setattr(self, name, value)
        self.best = Best(**{**state["best"], "weights": best})
        set_rng_state(state["rng"])

    def _spread(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Whole tensors, sharded as those of the model are."""
        like = self.model.state_dict()
        return {n: spread_like(v, like[n]) if n in like else v for n, v in weights.items()}


def _shard(model: Network) -> None:
    """Spread the parameters over the processes, those of an encoder gathered together."""
    from torch.distributed.fsdp import fully_shard  # which takes long to import

    for encoder in model.encoders.values():
        fully_shard(encoder)
    fully_shard(model)


def _check_like(part: str, found: object, expected: dict[str, Any]) -> None:
    """Raise StateError unless ``found`` has the keys of ``expected``, and values of their types."""
    if not isinstance(found, dict) or found.keys() != expected.keys():
        shown = list(found) if isinstance(found, dict) else type(found).__name__
        raise StateError(part, f"must have the keys {list(expected)}", shown, "Start again.")
    for name, value in expected.items():
        if type(found[name]) is not type(value):
            rule = f"must be of type {type(value).__name__}"
            raise StateError(f"{part}: {name}", rule, type(found[name]).__name__, "Start again.")


def _warn_of_momentum(balancer: Balancer, config: TrainConfig) -> None:
    if getattr(balancer, "averages", False) and config.momentum > 0:
        text = (
            f"{config.method} averages gradients over steps, and so does the optimiser with momentum "
            f"{config.momentum:g}: the step is averaged twice. Use --momentum 0."
        )
        warnings.warn(text, MomentumWarning, stacklevel=3)


def _to(value: Any, device: torch.device) -> Any:
    """Move all tensors of nested dicts and lists."""
    if isinstance(value, dict):
        return {name: _to(item, device) for name, item in value.items()}
    if isinstance(value, list):
        return [_to(item, device) for item in value]
    return value.to(device) if isinstance(value, Tensor) else value


def per_sample_losses(outputs: ModalOutputs, targets: Tensor) -> dict[str, Tensor]:
    """Cross-entropy [N] of the fused and of each unimodal prediction, unreduced, in float32."""
    logits = {FUSION: outputs.fused, **outputs.unimodal}
    return {s: functional.cross_entropy(z.float(), targets, reduction="none") for s, z in logits.items()}


def train_step(
    model: Network, batch: MultimodalBatch, balancer: Balancer, optimiser: Optimizer, bf16: bool
) -> StepInfo:
    """Forward, balanced backward, update; the forward pass again at draws, where the method needs a closure.

    Raises:
        NonFiniteError: The gradient is NaN or infinite; parameters and optimiser are as before.
    """
    optimiser.zero_grad(set_to_none=True)

    def predict() -> ModalOutputs:
        with torch.autocast(batch.targets.device.type, dtype=torch.bfloat16, enabled=bf16):
            found: ModalOutputs = model(batch.inputs)
        return found

    if balancer.estimator.needs_closure:
        info = balancer.backward(lambda: per_sample_losses(predict(), batch.targets))
    else:
        outputs = predict()
        info = balancer.backward(per_sample_losses(outputs, batch.targets), outputs, batch.targets)
    optimiser.step()
    return info
