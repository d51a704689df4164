"""Posteriors of gradients: priors, closed forms, a filter, moments as they are, and the Pyro program."""

from typing import Any

from bogc.posterior.conjugate import (
    ROUTES,
    ConjugateNormal,
    NormalInverseGammaRoute,
    NormalRoute,
    PosteriorRoute,
    normal_posterior,
)
from bogc.posterior.filtered import Filtered, FilteredRoute, filter_step
from bogc.posterior.gradient_posterior import GradientPosterior
from bogc.posterior.matched import MatchedRoute
from bogc.posterior.prior import (
    PRIORS,
    BlockPrior,
    BlockSums,
    FixedPrior,
    GradientPrior,
    PriorPolicy,
    StationaryPrior,
    SuccessivePrior,
)
from bogc.posterior.student import StudentTPosterior

PROGRAM = (
    "VariationalRoute",
    "filtered_program",
    "infer_nuts",
    "infer_svi",
    "known_variance",
    "pushed_forward",
    "unknown_variance",
)


def __getattr__(name: str) -> Any:
    """Import what needs Pyro when it is asked for: Pyro takes as long to import as torch."""
    if name in PROGRAM:
        from bogc.posterior import program

        return getattr(program, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "PRIORS",
    "ROUTES",
    "BlockPrior",
    "BlockSums",
    "ConjugateNormal",
    "Filtered",
    "FilteredRoute",
    "FixedPrior",
    "GradientPosterior",
    "GradientPrior",
    "MatchedRoute",
    "NormalInverseGammaRoute",
    "NormalRoute",
    "PosteriorRoute",
    "PriorPolicy",
    "StationaryPrior",
    "StudentTPosterior",
    "SuccessivePrior",
    "filter_step",
    "normal_posterior",
]
