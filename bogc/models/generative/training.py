"""Training of a generative model on data in memory: the schedule, a fit, and layer-wise pre-training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bogc.checks import check_alike, check_number
from bogc.errors import ConfigError, NonFiniteError
from bogc.models.generative.mdrnn import MDRNN
from bogc.models.generative.objectives import Memory, Objective
from bogc.models.generative.rbm import MultimodalRBM, check_complete, widths_of


@dataclass(frozen=True)
class Schedule:
    """Published schedule of Sohn, Shang and Lee (2014) on the halves of MNIST digits.

    Attributes:
        epochs: Passes over the data.
        batch_size: Samples a step; an incomplete last batch is left out, unless it is the only one.
        rate: Learning rate before decay.
        decay: The rate of epoch t, counted from 1, is rate / (1 + decay t).
        early_momentum: Momentum of the early epochs.
        late_momentum: Momentum afterwards.
        early_epochs: Number of early epochs.
        l2: Weight decay: l2 / 2 times the squared weights is added to the loss; biases are free.

    Raises:
        RangeError: A number lies outside its range.
    """

    epochs: int = 300
    batch_size: int = 100
    rate: float = 0.01
    decay: float = 0.005
    early_momentum: float = 0.33
    late_momentum: float = 0.47
    early_epochs: int = 5
    l2: float = 1e-4

    def __post_init__(self) -> None:
        check_number("epochs", self.epochs, self.epochs >= 1, "must be at least 1", "Use 300.")
        check_number("batch_size", self.batch_size, self.batch_size >= 1, "must be at least 1", "Use 100.")
        check_number("rate", self.rate, self.rate > 0, "must be positive", "Use 0.01.")
        for name in ("decay", "early_epochs", "l2"):
            value = getattr(self, name)
            check_number(name, value, value >= 0, "must not be negative", "0 turns it off.")
        for name in ("early_momentum", "late_momentum"):
            value = getattr(self, name)
            check_number(name, value, 0 <= value < 1, "must lie in [0, 1)", "0 turns it off.")

    def rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 1."""
        return self.rate / (1 + self.decay * epoch)

    def momentum_at(self, epoch: int) -> float:
        """Momentum of an epoch, counted from 1."""
        return self.late_momentum if epoch > self.early_epochs else self.early_momentum


PUBLISHED = Schedule()


@torch.no_grad()
def momentum_step(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    velocities: Sequence[Tensor],
    rate: float,
    momentum: float,
) -> None:
    """Change velocities and parameters in place: v <- momentum v + (1 - momentum) rate g, then p <- p - v."""
    for parameter, gradient, velocity in zip(parameters, gradients, velocities, strict=True):
        velocity.mul_(momentum).add_(gradient, alpha=(1 - momentum) * rate)
        parameter.sub_(velocity)


@dataclass(frozen=True)
class FitProgress:
    """Where training is, after an epoch.

    Attributes:
        stage: What is trained, such as "joint".
        epoch: Epochs done.
        epochs: Epochs in all.
        objective: Mean over the batches of the epoch; its meaning depends on the objective.
    """

    stage: str
    epoch: int
    epochs: int
    objective: float


FitListener = Callable[[FitProgress], None]


def ignore(progress: FitProgress) -> None:
    """Listen to nothing."""


def batches(samples: int, size: int, generator: torch.Generator, device: torch.device) -> list[Tensor]:
    """Row indices of the batches of an epoch, in random order, complete ones only if there is one."""
    order = torch.randperm(samples, generator=generator, device=device).split(size)
    return [batch for batch in order if len(batch) == size] or list(order)


def train(
    network: MDRNN,
    data: Mapping[str, Tensor],
    objective: Objective,
    schedule: Schedule = PUBLISHED,
    generator: torch.Generator | None = None,
    listen: FitListener = ignore,
    stage: str = "joint",
) -> tuple[float, ...]:
    """Train in place what ``objective`` trains of ``network``; the device is read once an epoch.

    Args:
        network: The model; ``MDRNN(rbm)`` for an RBM.
        data: Every modality -> [n, width], in [0, 1], of the model's dtype and device.
        objective: What to minimise.
        schedule: Epochs, batches, rate, momentum, weight decay.
        generator: Source of all randomness, on the data's device; one seeded with 0 if None.
        listen: Called after every epoch.
        stage: What progress calls this training.

    Returns:
        The mean objective of every epoch.

    Raises:
        BogcError: The data do not fit the model, or the model the objective; nothing was changed then.
        NonFiniteError: Training diverged; the parameters are no longer usable.
    """
    check_complete(data, network.widths)
    check_alike("data and model", network.joint.hidden_bias, *data.values())
    first = next(iter(data.values()))
    generator = generator or torch.Generator(first.device).manual_seed(0)
    memory = objective.start(network, generator)
    velocities = [torch.zeros_like(p, requires_grad=False) for p in objective.parameters(network)]
    history = []
    for epoch in range(1, schedule.epochs + 1):
        order = batches(len(first), schedule.batch_size, generator, first.device)
        total = torch.zeros((), dtype=first.dtype, device=first.device)
        for rows in order:
            batch = {name: values[rows] for name, values in data.items()}
            value, memory = _step(network, batch, objective, schedule, memory, velocities, epoch, generator)
            total += value
        history.append(float(total) / len(order))
        if not all(bool(torch.isfinite(p).all()) for p in objective.parameters(network)):
            remedy = "Lower the learning rate."
            raise NonFiniteError("parameters", "must stay finite", f"NaN or infinity, epoch {epoch}", remedy)
        listen(FitProgress(stage, epoch, schedule.epochs, history[-1]))
    return tuple(history)


def _step(
    network: MDRNN,
    batch: Mapping[str, Tensor],
    objective: Objective,
    schedule: Schedule,
    memory: Memory,
    velocities: list[Tensor],
    epoch: int,
    generator: torch.Generator,
) -> tuple[Tensor, Memory]:
    """One batch: evaluate, differentiate, decay matrices, update with momentum."""
    step = objective.step(network, batch, memory, generator)
    parameters = list(objective.parameters(network))
    gradients = torch.autograd.grad(step.loss, parameters)
    decayed = [
        gradient.add(parameter.detach(), alpha=schedule.l2) if parameter.ndim == 2 else gradient
        for parameter, gradient in zip(parameters, gradients, strict=True)
    ]
    momentum_step(parameters, decayed, velocities, schedule.rate_at(epoch), schedule.momentum_at(epoch))
    return step.objective, step.memory


def pretrain(
    data: Mapping[str, Tensor],
    layers: Mapping[str, Sequence[int]],
    hidden: int,
    path_objective: Objective,
    joint_objective: Objective,
    schedule: Schedule = PUBLISHED,
    generator: torch.Generator | None = None,
    listen: FitListener = ignore,
) -> MDRNN:
    """Train every layer as an RBM on the means of the one below, the joint layer last.

    Args:
        data: Modality -> [n, width], in [0, 1].
        layers: Modality -> hidden widths of its path from the bottom; left out or empty for none.
        hidden: Joint hidden units.
        path_objective: Trains the layers of a single modality.
        joint_objective: Trains the joint layer.
        schedule: For each layer.
        generator: Source of all randomness, on the data's device; one seeded with 0 if None.
        listen: Called after every epoch of every layer.

    Raises:
        ConfigError: ``layers`` names an unknown modality.
        RangeError: A width is below 1.
        BogcError: The data are unfit, or training diverged.
    """
    check_complete(data, widths_of(data))
    _check_layers(layers, data, hidden)
    device = next(iter(data.values())).device
    generator = generator or torch.Generator(device).manual_seed(0)
    paths: dict[str, list[MultimodalRBM]] = {}
    tops: dict[str, Tensor] = {}
    for name, values in data.items():
        top, path = values, []
        for depth, width in enumerate(layers.get(name, ()), start=1):
            layer = MultimodalRBM.for_data({name: top}, width, generator)
            stage = f"{name} {depth}"
            train(MDRNN(layer), {name: top}, path_objective, schedule, generator, listen, stage)
            path.append(layer)
            with torch.no_grad():
                top = torch.sigmoid(layer.hidden_logits({name: top}))
        paths[name], tops[name] = path, top
    network = MDRNN(MultimodalRBM.for_data(tops, hidden, generator), paths)
    train(network, data, joint_objective, schedule, generator, listen, "joint")
    return network


def _check_layers(layers: Mapping[str, Sequence[int]], data: Mapping[str, Tensor], hidden: int) -> None:
    unknown = [name for name in layers if name not in data]
    if unknown:
        raise ConfigError("layers", f"must be of {list(data)}", unknown, "Name modalities as in the data.")
    for name, widths in (*layers.items(), ("hidden", (hidden,))):
        for width in widths:
            check_number(name, width, width >= 1, "must have at least one unit a layer", "Give widths.")
