"""Gradients of per-sample losses, and their moments."""

from bogc.gradients.closure import Closure, Reevaluation
from bogc.gradients.differentiate import gradient, gradient_rows, leaves, mixes_processes
from bogc.gradients.drawn import Drawn
from bogc.gradients.estimators import ESTIMATORS, Grouped, MomentEstimator, PerSample, Successive
from bogc.gradients.groups import (
    ONE_BLOCK,
    Block,
    GradientGroup,
    Layout,
    OverBlocks,
    Pool,
    arrange,
)
from bogc.gradients.losses import check_finite_step, check_losses
from bogc.gradients.moments import GradientMoments
from bogc.gradients.partition import FUSION, SHARED, ModalityPartition

__all__ = [
    "ESTIMATORS",
    "FUSION",
    "ONE_BLOCK",
    "SHARED",
    "Block",
    "Closure",
    "Drawn",
    "GradientGroup",
    "GradientMoments",
    "Grouped",
    "Layout",
    "ModalityPartition",
    "MomentEstimator",
    "OverBlocks",
    "PerSample",
    "Pool",
    "Reevaluation",
    "Successive",
    "arrange",
    "check_finite_step",
    "check_losses",
    "gradient",
    "gradient_rows",
    "leaves",
    "mixes_processes",
]
