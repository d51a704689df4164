"""Weights and conservatism from fused opinions, and the update they give."""

from bogc.calibration.aggregated import AGGREGATED, Aggregated, BatchMean, PosteriorMean
from bogc.calibration.conservatism import (
    CONSERVATISMS,
    Conservatism,
    FusedAgreement,
    FusedCertainty,
    NoConservatism,
)
from bogc.calibration.pipeline import CalibratedBlock, Pipeline, calibrate_block
from bogc.calibration.scaling import SCALINGS, MatchEachBlock, MatchPlainSum, Scaling, Unscaled
from bogc.calibration.update import CalibratedUpdate, calibrate
from bogc.calibration.weights import WEIGHTS, EqualWeights, PrecisionWeights, RelativeBelief, Weights

__all__ = [
    "AGGREGATED",
    "CONSERVATISMS",
    "SCALINGS",
    "WEIGHTS",
    "Aggregated",
    "BatchMean",
    "CalibratedBlock",
    "CalibratedUpdate",
    "Conservatism",
    "EqualWeights",
    "FusedAgreement",
    "FusedCertainty",
    "MatchEachBlock",
    "MatchPlainSum",
    "NoConservatism",
    "Pipeline",
    "PosteriorMean",
    "PrecisionWeights",
    "RelativeBelief",
    "Scaling",
    "Unscaled",
    "Weights",
    "calibrate",
    "calibrate_block",
]
