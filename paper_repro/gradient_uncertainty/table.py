"""The estimators, priors and routes that are compared. To add one, add an entry."""

from typing import Final

from bogc.gradients import Grouped, MomentEstimator, PerSample, Streaming
from bogc.posterior import (
    BlockPrior,
    DimensionPrior,
    FilteredPrior,
    FixedPrior,
    NormalInverseGammaRoute,
    NormalRoute,
    PosteriorRoute,
    PriorPolicy,
)
from paper_repro.gradient_uncertainty.ratio_prior import RatioPrior

ESTIMATORS: Final[dict[str, MomentEstimator]] = {
    "streaming 0.9": Streaming(0.9),
    "streaming 0.99": Streaming(0.99),
    "grouped 4": Grouped(4),
    "grouped 8": Grouped(8),
    "per-sample": PerSample(64, vectorize=True),
}
PRIORS: Final[dict[str, PriorPolicy]] = {
    "block": BlockPrior(),
    "block, floor 0.1": BlockPrior(floor=0.1),
    "ratio": RatioPrior(),
    "dimension": DimensionPrior(),
    "fixed": FixedPrior(),
    "filtered": FilteredPrior(),
}
ROUTES: Final[dict[str, PosteriorRoute]] = {
    "normal": NormalRoute(),
    "nig": NormalInverseGammaRoute(),
}
TRUE_NOISE: Final = "true noise"  # no estimator: the noise measured over the reference batches
TRUE_SCALE: Final = "true scale"  # no policy: a zero-centred prior with the block's true mean square
STUDENT: Final = "student-t"  # no route: the exact marginal that nig matches by a Normal
