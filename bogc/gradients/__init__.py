"""Gradients of per-sample losses, and their moments."""

from bogc.gradients.blocks import Block
from bogc.gradients.estimators import ESTIMATORS, Grouped, PerSample, Streaming
from bogc.gradients.losses import check_finite_step, check_losses
from bogc.gradients.moment_estimator import Estimate, MomentEstimator, block_gradients
from bogc.gradients.moments import GradientMoments
from bogc.gradients.partition import FUSION, SHARED, ModalityPartition
from bogc.gradients.per_row import PerRow
from bogc.gradients.running import RunningMoments
from bogc.gradients.vjp import vector_jacobian_products

__all__ = [
    "ESTIMATORS",
    "FUSION",
    "SHARED",
    "Block",
    "Estimate",
    "GradientMoments",
    "Grouped",
    "ModalityPartition",
    "MomentEstimator",
    "PerRow",
    "PerSample",
    "RunningMoments",
    "Streaming",
    "block_gradients",
    "check_finite_step",
    "check_losses",
    "vector_jacobian_products",
]
