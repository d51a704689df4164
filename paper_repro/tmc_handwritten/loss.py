"""The evidential loss of Han et al. 2021 (arXiv 2102.02051), one value a sample."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def expected_cross_entropy(
    alpha: Float[Tensor, "*sources N K"], right: Bool[Tensor, "N K"]
) -> Float[Tensor, "*sources N"]:
    """E[-log p_y] under Dirichlet(alpha), in nats: digamma(S) - digamma(alpha_y), S = sum_k alpha_k.

    Args:
        alpha: Concentration.
        right: True at the class of each sample, y.
    """
    return torch.digamma(alpha.sum(-1)) - torch.digamma((alpha * right).sum(-1))


def divergence_from_uniform(alpha: Float[Tensor, "*sources N K"]) -> Float[Tensor, "*sources N"]:
    """KL(Dirichlet(alpha) || Dirichlet(1, ..., 1)), in nats."""
    strength = alpha.sum(-1)
    uniform = math.lgamma(alpha.shape[-1])
    excess = (alpha - 1) * (torch.digamma(alpha) - torch.digamma(strength).unsqueeze(-1))
    return torch.lgamma(strength) - torch.lgamma(alpha).sum(-1) - uniform + excess.sum(-1)


def misleading(
    alpha: Float[Tensor, "*sources N K"], right: Bool[Tensor, "N K"]
) -> Float[Tensor, "*sources N K"]:
    """Take the evidence for the right class away: alpha_y becomes 1, the rest stays."""
    return alpha.masked_fill(right, 1.0)


def evidential_loss(
    alpha: Float[Tensor, "*sources N K"], right: Bool[Tensor, "N K"], weight: float
) -> Float[Tensor, "*sources N"]:
    """Expected cross-entropy plus ``weight`` times the divergence of the misleading evidence, per sample."""
    divergence = divergence_from_uniform(misleading(alpha, right))
    return expected_cross_entropy(alpha, right) + weight * divergence


def annealed(epoch: int, annealing_epochs: int) -> float:
    """Weight of the divergence in epoch 0, 1, ...: grows by 1/annealing_epochs an epoch, up to 1."""
    return min(1.0, (epoch + 1) / annealing_epochs)
