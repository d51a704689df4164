"""Moments of several blocks and sources, from ordinary to degenerate."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from bogc.gradients import GradientMoments

Blocks = dict[str, dict[str, GradientMoments]]
Problem = list[Blocks]  # one entry a step
SIZES = st.lists(st.sampled_from([1, 2, 5, 128, 130, 300, 4100, 5000]), min_size=1, max_size=4)


def blocks(
    seed: int, sources: int, sizes: tuple[int, ...], noise: float = 1.0, kind: str = "plain"
) -> Blocks:
    """Means of order 1 and scatters of order ``noise``, each source of a different size.

    ``kind`` says what is special: "dead" has units without gradient or variance, "constant" a first block
    without variance, "vacuous" a first source with 1e12 times the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    found: Blocks = {}
    for index, size in enumerate(sizes):
        row: dict[str, GradientMoments] = {}
        for source in range(sources):
            mean, spread = torch.randn(2, size, generator=generator, dtype=torch.float64)
            scatter = 7 * noise * (1 + spread.square()) * (1e12 if kind == "vacuous" and source == 0 else 1)
            if kind == "dead":
                mean[::3], scatter[::3] = 0, 0
            if kind == "constant" and index == 0:
                scatter = torch.zeros_like(scatter)
            ones = torch.ones(1, dtype=torch.float64)
            size_of_source = 0.5**source
            row[f"s{source}"] = GradientMoments(
                mean * size_of_source, scatter * size_of_source**2, ones * (8 + source), ones * 7
            )
        found[f"b{index}"] = row
    return found


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """One to three steps of the same blocks; noise from 1e-12 to 1e12 of the squared gradient."""
    seed, sources, sizes = draw(st.integers(0, 10**6)), draw(st.integers(1, 8)), tuple(draw(SIZES))
    noise = draw(st.sampled_from([1e-12, 1e-3, 1.0, 1e3, 1e12]))
    kind = draw(st.sampled_from(["plain", "dead", "constant", "vacuous"]))
    return [blocks(seed + step, sources, sizes, noise, kind) for step in range(draw(st.integers(1, 3)))]


def as_dtype(moments: Blocks, dtype: torch.dtype) -> Blocks:
    """A copy."""
    return {
        name: {
            source: GradientMoments(**{field: value.to(dtype, copy=True) for field, value in vars(m).items()})
            for source, m in sources.items()
        }
        for name, sources in moments.items()
    }


def means_of(moments: Blocks) -> dict[str, dict[str, Tensor]]:
    return {name: {source: m.mean for source, m in row.items()} for name, row in moments.items()}
