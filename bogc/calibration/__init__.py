"""Weights and conservatism from fused opinions, and the update they give."""

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
    "CONSERVATISMS",
    "SCALINGS",
    "WEIGHTS",
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
    "PrecisionWeights",
    "RelativeBelief",
    "Scaling",
    "Unscaled",
    "Weights",
    "calibrate",
    "calibrate_block",
]
