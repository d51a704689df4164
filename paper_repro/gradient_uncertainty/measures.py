"""What is measured, as functions of tensors: rank correlation, coverage, calibration of probabilities."""

from functools import lru_cache
from typing import Final

import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

LEVELS: Final = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99)


def rank_correlation(
    first: Float[Tensor, "*rows n"], second: Float[Tensor, "*rows n"], kept: Bool[Tensor, "*rows n"]
) -> Float[Tensor, "*rows"]:
    """Spearman's correlation over the last axis, among the kept; NaN for fewer than two.

    Equal values are ranked in the order of their places: with measured numbers they are rare.
    """
    x, y = (_centred_ranks(values, kept) for values in (first, second))
    return (x * y).sum(-1) / (x.square().sum(-1) * y.square().sum(-1)).sqrt()


def central_coverage(
    error: Float[Tensor, "*rows n"],
    scale: Float[Tensor, "*rows n"],
    kept: Bool[Tensor, "*rows n"],
    quantile: float,
) -> Float[Tensor, "*rows"]:
    """Share of the kept errors within ``quantile`` times their scale; see :func:`quantile_of`."""
    return kept_mean((error.abs() <= quantile * scale).to(error.dtype), kept)


@lru_cache(maxsize=1000)
def quantile_of(level: float, df: float | None = None) -> float:
    """Half width, in units of the scale, of the central interval that holds ``level`` in (0, 1).

    Args:
        level: Probability within.
        df: Degrees of freedom of a Student-t; None for a Normal.
    """
    upper = (1 + level) / 2
    return float(stats.norm.ppf(upper) if df is None else stats.t.ppf(upper, df))


def calibration_error(
    probability: Float[Tensor, " n"], happened: Bool[Tensor, " n"], bins: int = 10
) -> float:
    """Expected calibration error: mean distance of frequency and probability, over bins of equal width."""
    index = (probability * bins).long().clamp_max(bins - 1)
    stated = torch.bincount(index, probability.double(), bins)
    seen = torch.bincount(index, happened.double(), bins)
    return float((stated - seen).abs().sum() / len(probability))


def kept_mean(values: Float[Tensor, "*rows n"], kept: Bool[Tensor, "*rows n"]) -> Float[Tensor, "*rows"]:
    """Mean over the kept of the last axis; NaN where none is."""
    return torch.where(kept, values, 0).sum(-1) / kept.sum(-1)


def known_mean(values: Float[Tensor, "*any"]) -> float:
    """Mean of all values that are not NaN."""
    return float(values.nanmean())


def _centred_ranks(
    values: Float[Tensor, "*rows n"], kept: Bool[Tensor, "*rows n"]
) -> Float[Tensor, "*rows n"]:
    last = torch.where(kept, values, torch.inf)
    ranks = last.argsort(dim=-1, stable=True).argsort(dim=-1).double()
    return torch.where(kept, ranks - kept_mean(ranks, kept).unsqueeze(-1), 0)
