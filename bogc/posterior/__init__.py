"""Posteriors of gradients: priors, closed forms, filter, Laplace, and the Pyro program behind them."""

from bogc.posterior.conjugate import (
    ConjugateNormal,
    NormalInverseGammaRoute,
    NormalRoute,
    PosteriorRoute,
    normal_posterior,
)
from bogc.posterior.filtered import FilteredPrior, predict
from bogc.posterior.gradient_posterior import GradientPosterior
from bogc.posterior.laplace import Laplace, LaplaceRoute, categorical_ggn, empirical_fisher
from bogc.posterior.prior import (
    BlockPrior,
    DimensionPrior,
    EmpiricalBayes,
    FixedPrior,
    GradientPrior,
    PriorPolicy,
)
from bogc.posterior.program import VariationalRoute, infer_nuts, infer_svi
from bogc.posterior.routes import ROUTES
from bogc.posterior.student import StudentTPosterior

__all__ = [
    "ROUTES",
    "BlockPrior",
    "ConjugateNormal",
    "DimensionPrior",
    "EmpiricalBayes",
    "FilteredPrior",
    "FixedPrior",
    "GradientPosterior",
    "GradientPrior",
    "Laplace",
    "LaplaceRoute",
    "NormalInverseGammaRoute",
    "NormalRoute",
    "PosteriorRoute",
    "PriorPolicy",
    "StudentTPosterior",
    "VariationalRoute",
    "categorical_ggn",
    "empirical_fisher",
    "infer_nuts",
    "infer_svi",
    "normal_posterior",
    "predict",
]
