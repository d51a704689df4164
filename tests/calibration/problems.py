"""Sources with any means and any opinions on the sign of each dimension."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from bogc.belief import Opinion
from bogc.calibration import CalibratedUpdate, calibrate
from bogc.combination import reduced
from bogc.posterior import GradientPosterior
from tests.properties.strategies import tensor

Problem = tuple[Tensor, Tensor, Tensor]  # means [M, D], uncertainties [M, D], shares of b+ in b [M, D]
MEANS = st.just(0.0) | st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)


def tables(sources: int, size: int, numbers: st.SearchStrategy[float] = MEANS) -> st.SearchStrategy[Tensor]:
    row = st.lists(numbers, min_size=size, max_size=size)
    return st.lists(row, min_size=sources, max_size=sources).map(tensor)


@st.composite
def problems(draw: st.DrawFn, least: int = 1) -> Problem:
    """Every u in (0, 1) and every split of 1 - u gives an opinion, so none of these are excluded."""
    sources, size = draw(st.integers(least, 4)), draw(st.integers(1, 4))
    inside = st.floats(0.01, 0.99)
    return (
        draw(tables(sources, size)),
        draw(tables(sources, size, inside)),
        draw(tables(sources, size, inside)),
    )


def opinion(uncertainty: Tensor, positive: Tensor) -> Opinion:
    belief = torch.stack([(1 - uncertainty) * positive, (1 - uncertainty) * (1 - positive)], -1)
    return Opinion(belief, uncertainty, torch.tensor([0.5, 0.5], dtype=belief.dtype))


def solve(means: Tensor, uncertainties: Tensor, positives: Tensor, **choices: object) -> CalibratedUpdate:
    """Calibrate by Dempster's rule; the variances of the posteriors do not matter to belief weights."""
    posteriors = [GradientPosterior(mean, torch.ones_like(mean)) for mean in means]
    opinions = [opinion(u, p) for u, p in zip(uncertainties, positives, strict=True)]
    return calibrate(posteriors, opinions, reduced.combine(opinions), **choices)
