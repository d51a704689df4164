"""Weights and conservatism from fused opinions, and the update they give."""

from bogc.calibration.calibrator import CalibratedBlocks, Calibration, Calibrator
from bogc.calibration.conservatism import (
    CONSERVATISMS,
    Conservatism,
    FusedAgreement,
    FusedCertainty,
    NoConservatism,
)
from bogc.calibration.memory import Memory
from bogc.calibration.pipeline import AGGREGATED, CalibratedBlock, Pipeline, calibrate_block
from bogc.calibration.scaling import SCALINGS, MatchEachBlock, MatchPlainSum, Scaling, Unscaled
from bogc.calibration.update import CalibratedUpdate, aggregate, calibrate
from bogc.calibration.weights import (
    WEIGHTS,
    EqualWeights,
    MixedCertainty,
    PrecisionWeights,
    RelativeBelief,
    Weights,
)

__all__ = [
    "AGGREGATED",
    "CONSERVATISMS",
    "SCALINGS",
    "WEIGHTS",
    "CalibratedBlock",
    "CalibratedBlocks",
    "CalibratedUpdate",
    "Calibration",
    "Calibrator",
    "Conservatism",
    "EqualWeights",
    "FusedAgreement",
    "FusedCertainty",
    "MatchEachBlock",
    "MatchPlainSum",
    "Memory",
    "MixedCertainty",
    "NoConservatism",
    "Pipeline",
    "PrecisionWeights",
    "RelativeBelief",
    "Scaling",
    "Unscaled",
    "Weights",
    "aggregate",
    "calibrate",
    "calibrate_block",
]
