"""Gradients of per-sample losses, and their moments."""

from bogc.gradients.blocks import Block
from bogc.gradients.estimators import ESTIMATORS, Grouped, PerSample, Streaming
from bogc.gradients.losses import check_finite_step, check_losses
from bogc.gradients.moment_estimator import Estimate, MomentEstimator, block_gradients
from bogc.gradients.moments import GradientMoments
from bogc.gradients.partition import FUSION, SHARED, ModalityPartition
from bogc.gradients.parts import Part, Place, reduce_parts
from bogc.gradients.per_row import PerRow
from bogc.gradients.running import RunningMoments
from bogc.gradients.team import Alone, Processes, Team, current_team
from bogc.gradients.vjp import vector_jacobian_products

__all__ = [
    "ESTIMATORS",
    "FUSION",
    "SHARED",
    "Alone",
    "Block",
    "Estimate",
    "GradientMoments",
    "Grouped",
    "ModalityPartition",
    "MomentEstimator",
    "Part",
    "PerRow",
    "PerSample",
    "Place",
    "Processes",
    "RunningMoments",
    "Streaming",
    "Team",
    "block_gradients",
    "check_finite_step",
    "check_losses",
    "current_team",
    "reduce_parts",
    "vector_jacobian_products",
]
