"""Gradients of known truth and noise."""

import torch
from torch import Tensor

from bogc.gradients import GradientMoments
from paper_repro.gradient_uncertainty.judging import Judged, judge
from paper_repro.gradient_uncertainty.truth import Truth

COUNT = 64


def truth_of(gradient: Tensor, noise: Tensor) -> Truth:
    """[P, D] each; every dimension alive."""
    return Truth(gradient, noise, gradient, torch.zeros_like(gradient), 1000)


def observe(truth: Truth, batches: int, df: float = 999.0) -> GradientMoments:
    """Batch gradients [B, P, D] that scatter as the truth says, with the true variance stated."""
    shape = (batches, *truth.gradient.shape)
    mean = truth.gradient + truth.noise.sqrt() * torch.randn(shape)
    ones = torch.ones(batches, len(truth.gradient), 1)
    return GradientMoments(mean, truth.noise * COUNT * df * torch.ones(shape), ones * COUNT, ones * df)


def known(pairs: int, dimensions: int, spread: float = 1.0) -> Judged:
    """True gradients from Normal(0, 1), one batch, known noise, and exactly that prior."""
    noise = spread * torch.rand(pairs, dimensions) + 0.05
    truth = truth_of(torch.randn(pairs, dimensions), noise)
    return judge(("made", "fixed", "normal"), observe(truth, 1), {}, truth)
