"""Weights and conservatism from fused opinions, and the update they give."""

from bogc.calibration.aggregated import AGGREGATED, Aggregated, BatchMean, PosteriorMean
from bogc.calibration.blockwise import Blockwise
from bogc.calibration.calibrator import Calibration, Calibrator
from bogc.calibration.choice import KERNELS, calibrator
from bogc.calibration.closed_form import ClosedForm, closed_form
from bogc.calibration.compiled import Compiled
from bogc.calibration.conservatism import (
    CONSERVATISMS,
    Conservatism,
    FusedAgreement,
    FusedCertainty,
    NoConservatism,
)
from bogc.calibration.fused import Fused
from bogc.calibration.kernels import Eager, Kernel
from bogc.calibration.pipeline import CalibratedBlock, Pipeline, calibrate_block
from bogc.calibration.scaling import SCALINGS, MatchEachBlock, MatchPlainSum, Scaling, Unscaled
from bogc.calibration.triton_kernel import TritonKernel
from bogc.calibration.update import CalibratedUpdate, calibrate
from bogc.calibration.weights import WEIGHTS, EqualWeights, PrecisionWeights, RelativeBelief, Weights

__all__ = [
    "AGGREGATED",
    "CONSERVATISMS",
    "KERNELS",
    "SCALINGS",
    "WEIGHTS",
    "Aggregated",
    "BatchMean",
    "Blockwise",
    "CalibratedBlock",
    "CalibratedUpdate",
    "Calibration",
    "Calibrator",
    "ClosedForm",
    "Compiled",
    "Conservatism",
    "Eager",
    "EqualWeights",
    "Fused",
    "FusedAgreement",
    "FusedCertainty",
    "Kernel",
    "MatchEachBlock",
    "MatchPlainSum",
    "NoConservatism",
    "Pipeline",
    "PosteriorMean",
    "PrecisionWeights",
    "RelativeBelief",
    "Scaling",
    "TritonKernel",
    "Unscaled",
    "Weights",
    "calibrate",
    "calibrate_block",
    "calibrator",
    "closed_form",
]
