"""One optimisation step."""

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer

from bogc.methods import Balancer, StepInfo
from bogc.data import MultimodalBatch
from bogc.gradients import FUSION
from bogc.models import ModalOutputs
from bogc.training.networks import Network


def per_sample_losses(outputs: ModalOutputs, targets: Tensor) -> dict[str, Tensor]:
    """Cross-entropy [N] of the fused and of each unimodal prediction, unreduced, in float32."""
    logits = {FUSION: outputs.fused, **outputs.unimodal}
    return {s: functional.cross_entropy(z.float(), targets, reduction="none") for s, z in logits.items()}


def train_step(
    model: Network, batch: MultimodalBatch, balancer: Balancer, optimiser: Optimizer, bf16: bool
) -> StepInfo:
    """Forward, balanced backward, update.

    Raises:
        NonFiniteError: The gradient is NaN or infinite; parameters and optimiser are as before.
    """
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(batch.targets.device.type, dtype=torch.bfloat16, enabled=bf16):
        outputs = model(batch.inputs)
    info = balancer.backward(per_sample_losses(outputs, batch.targets), outputs, batch.targets)
    optimiser.step()
    return info
