"""Training of a generative model on data in memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bogc.checks import check_alike
from bogc.errors import NonFiniteError
from bogc.models.generative.inputs import check_complete
from bogc.models.generative.mdrnn import MDRNN
from bogc.models.generative.objective import Memory, Objective
from bogc.models.generative.schedule import PUBLISHED, Schedule, momentum_step


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
