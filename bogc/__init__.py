"""Bayesian-oriented gradient calibration for multi-modal learning."""

from bogc.belief import DirichletBelief, Evidence, MassFunction, Opinion, PseudoCount
from bogc.calibration import CalibratedUpdate, Pipeline, calibrate
from bogc.gradients import GradientMoments, ModalityPartition
from bogc.methods import BOGC, Balancer, JointTraining, StepInfo, UnimodalSum
from bogc.posterior import ConjugateNormal, GradientPosterior, GradientPrior

__version__ = "0.1.0"

__all__ = [
    "BOGC",
    "Balancer",
    "CalibratedUpdate",
    "ConjugateNormal",
    "DirichletBelief",
    "Evidence",
    "GradientMoments",
    "GradientPosterior",
    "GradientPrior",
    "JointTraining",
    "MassFunction",
    "ModalityPartition",
    "Opinion",
    "Pipeline",
    "PseudoCount",
    "StepInfo",
    "UnimodalSum",
    "calibrate",
]
