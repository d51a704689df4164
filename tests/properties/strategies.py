"""Samplers of the objects that the theorems quantify over; each says why what it draws is one."""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor

from bogc.belief import DirichletBelief, Evidence, MassFunction, Opinion

AMOUNTS = st.just(0.0) | st.floats(1e-3, 1e4)
PRIOR_WEIGHTS = st.floats(0.1, 50.0)


def tensor(values: Sequence[float] | Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def vectors(size: int, amounts: st.SearchStrategy[float] = AMOUNTS) -> st.SearchStrategy[Tensor]:
    return st.lists(amounts, min_size=size, max_size=size).map(tensor)


def base_rates(hypotheses: int) -> st.SearchStrategy[Tensor]:
    """Positive numbers divided by their sum: a distribution without zeros."""
    return vectors(hypotheses, st.floats(0.05, 1.0)).map(lambda values: values / values.sum())


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Non-negative by its range, on K = 2 to 6 hypotheses, with any positive W."""
    return Evidence(draw(vectors(draw(st.integers(2, 8)))), draw(PRIOR_WEIGHTS))


@st.composite
def dirichlets(draw: st.DrawFn) -> DirichletBelief:
    """Concentration e + W a with e >= 0 is at least W a."""
    evidence = draw(evidences())
    rate = draw(base_rates(evidence.values.shape[-1]))
    alpha = evidence.values + evidence.prior_weight * rate
    return DirichletBelief(alpha, evidence.prior_weight, rate)


@st.composite
def opinions(
    draw: st.DrawFn, hypotheses: int | None = None, amounts: float = 1e3, rate: Tensor | None = None
) -> Opinion:
    """Shares of K + 1 non-negative numbers of which the last, at least 1, is for u: sum 1 and u > 0."""
    size = hypotheses or draw(st.integers(2, 8))
    shares = draw(vectors(size, st.just(0.0) | st.floats(1e-3, amounts)))
    total = shares.sum() + 1
    return Opinion(shares / total, 1 / total, draw(base_rates(size)) if rate is None else rate)


@st.composite
def opinion_lists(draw: st.DrawFn, most: int = 6, amounts: float = 1e3) -> list[Opinion]:
    """Two to ``most`` opinions on one frame, none dogmatic, so Dempster's rule is defined."""
    size = draw(st.integers(2, 8))
    return draw(st.lists(opinions(size, amounts), min_size=2, max_size=most))


@st.composite
def evidence_lists(draw: st.DrawFn) -> list[Evidence]:
    """Two to six sources that count in one W on one frame."""
    size, weight = draw(st.integers(2, 8)), draw(PRIOR_WEIGHTS)
    return [Evidence(values, weight) for values in draw(st.lists(vectors(size), min_size=2, max_size=6))]


@st.composite
def mass_lists(draw: st.DrawFn, least: int = 2, most: int = 3) -> list[MassFunction]:
    """Sources on one frame with mass on any subset.

    The empty set gets 0 and the frame at least 1 before division by the sum, so the masses are shares of 1,
    and every pair of sources shares the frame: no total conflict.
    """
    subsets = 2 ** draw(st.integers(2, 4))
    shares = vectors(subsets, st.just(0.0) | st.floats(1e-3, 1.0))
    drawn = draw(st.lists(shares, min_size=least, max_size=most))
    for values in drawn:
        values[0], values[-1] = 0, values[-1] + 1
    return [MassFunction(values / values.sum()) for values in drawn]
