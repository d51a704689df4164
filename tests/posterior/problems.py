"""Moments and priors over many orders of magnitude, for the tests of posteriors."""

import torch
from hypothesis import strategies as st

from bogc.gradients import GradientMoments
from bogc.posterior import GradientPrior

Problem = tuple[GradientMoments, GradientPrior]


def problem(size: int, seed: int, conflict: float | None = None, exponent: float = 0.0) -> Problem:
    """Noise from a thousandth to a hundred times the prior's scale 10**exponent, prior mean off zero.

    The sample mean is drawn from the prior predictive, or uniformly within ``conflict`` of its deviations.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator, dtype=torch.float64)

    scale, count = 10.0**exponent, 32
    noise = (scale * 10 ** draw(-3, 2)).square()
    loc = scale * draw(-3, 3)
    z = torch.randn(size, generator=generator, dtype=torch.float64)
    deviations = z if conflict is None else draw(-conflict, conflict)
    mean = loc + deviations * (noise + scale**2).sqrt()
    prior = GradientPrior(loc, torch.tensor([scale**2], dtype=torch.float64))
    return GradientMoments.from_variance(mean, noise * count, count, count - 1), prior


def problems(size: int = 3) -> st.SearchStrategy[Problem]:
    """As above, with prior scales from 1e-8 to 1e4 and data up to 8 deviations away."""
    return st.builds(problem, st.just(size), st.integers(0, 2**31), st.just(8.0), st.floats(-8, 4))
