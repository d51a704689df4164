"""Samplers of the objects that the theorems quantify over; each says why what it draws is one."""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor

from bogc.belief import DirichletBelief, Evidence, MassFunction, Opinion

AMOUNTS = st.just(0.0) | st.floats(1e-3, 1e4)
PRIOR_WEIGHTS = st.floats(0.1, 50.0)
TINY = st.integers(-12, 0).map(lambda n: 10.0**n)
WHOLE, SHARP = st.just(1.0), st.just(0.0) | TINY


def tensor(values: Sequence[float] | Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def vectors(size: int, amounts: st.SearchStrategy[float] = AMOUNTS) -> st.SearchStrategy[Tensor]:
    return st.lists(amounts, min_size=size, max_size=size).map(tensor)


def base_rates(hypotheses: int) -> st.SearchStrategy[Tensor]:
    """Positive numbers divided by their sum: a distribution without zeros."""
    return vectors(hypotheses, st.floats(0.05, 1.0)).map(lambda values: values / values.sum())


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Non-negative by its range, on K = 2 to 8 hypotheses, with any positive W."""
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
def sharp_opinion_lists(draw: st.DrawFn, most: int = 6) -> list[Opinion]:
    """Sources that may be dogmatic, or all but contradict each other: shares are 0 or 1e-12 to 1, of u too.

    All leave a share to one hypothesis, so there is no total conflict.
    """
    size, sources = draw(st.integers(2, 8)), draw(st.integers(2, most))
    rate, common = draw(base_rates(size)), draw(st.integers(0, size - 1))
    rows = [draw(vectors(size + 1, st.just(0.0) | TINY)) for _ in range(sources)]
    for row in rows:
        row[common] += draw(TINY)
    shares = [row / row.sum() for row in rows]
    return [Opinion(share[:-1], share[-1], rate) for share in shares]


@st.composite
def mass_lists(
    draw: st.DrawFn, least: int = 2, most: int = 6, rest: st.SearchStrategy[float] = WHOLE
) -> list[MassFunction]:
    """Sources with mass on up to five subsets, and ``rest`` on the frame, before division by the sum.

    A positive rest leaves no total conflict; where it may be 0, as in ``SHARP``, one hypothesis has a share
    of at least 1e-6 in all sources.
    """
    subsets, common = 2 ** draw(st.integers(2, 8)), draw(st.integers(0, 1))
    drawn = []
    for _ in range(draw(st.integers(least, most))):
        values = torch.zeros(subsets, dtype=torch.float64)
        for index in draw(st.lists(st.integers(1, subsets - 1), max_size=5)):
            values[index] = draw(st.floats(1e-3, 1.0))
        values[-1] += draw(rest)
        values[1 << common] += 0 if rest is WHOLE else draw(TINY) + 1e-6
        drawn.append(MassFunction(values / values.sum()))
    return drawn
