"""The names by which a configuration makes the open choices of BOGC."""

from dataclasses import dataclass
from typing import Final

from bogc.balancing.bogc import BOGC
from bogc.balancing.fields import choose, setting
from bogc.balancing.search import Choice
from bogc.belief import EVIDENCE_MAPS, FRAMES
from bogc.calibration import AGGREGATED, CONSERVATISMS, KERNELS, SCALINGS, WEIGHTS, Pipeline
from bogc.combination import FOLDS
from bogc.errors import ConfigError
from bogc.gradients import (
    ESTIMATORS,
    Grouped,
    ModalityPartition,
    MomentEstimator,
    PerRow,
    PerSample,
    Streaming,
)
from bogc.posterior import (
    ROUTES,
    BlockPrior,
    DimensionPrior,
    FilteredPrior,
    FixedPrior,
    PosteriorRoute,
    PriorPolicy,
    VariationalRoute,
)

PRIORS: Final = ("block", "dimension", "fixed", "filtered")
INFERENCES: Final = ("closed-form", "svi")


@dataclass(frozen=True)
class CalibrationSettings:
    """Every open choice of BOGC by name; theory/ and the README give the reasons for the defaults.

    Each field's metadata holds the help text of its command-line flag.
    """

    estimator: str = setting("streaming", f"gradient moments: {', '.join(ESTIMATORS)}")
    decay: float = setting(0.9, "forgetting factor of streaming moments")
    groups: int = setting(4, "groups of a batch, for grouped moments")
    prior: str = setting("block", f"scale of the prior: {', '.join(PRIORS)}")
    prior_decay: float = setting(
        0.9, "forgetting factor of the empirical-Bayes scale of the prior", Choice((0.9, 0.97, 0.99))
    )
    prior_variance: float = setting(1.0, "tau^2 of the fixed prior")
    posterior: str = setting("normal", f"posterior: {', '.join(ROUTES)}")
    inference: str = setting(
        "closed-form", f"{', '.join(INFERENCES)} (svi fits the Pyro guide; small models only)"
    )
    evidence: str = setting("pseudo-count", f"evidence map: {', '.join(EVIDENCE_MAPS)}")
    prior_weight: float = setting(2.0, "W, the weight of knowing nothing, in units of evidence")
    frame: str = setting("sign", f"frame of discernment: {', '.join(FRAMES)}")
    combination: str = setting("dempster", f"fusion of opinions: {', '.join(FOLDS)}")
    weights: str = setting("relative-belief", f"weights of the sources: {', '.join(WEIGHTS)}")
    conservatism: str = setting(
        "fused-certainty",
        f"step length by the fused opinion: {', '.join(CONSERVATISMS)}",
        Choice(("fused-certainty", "none")),
    )
    aggregated: str = setting(
        "posterior-mean", f"what of each source is weighted and summed: {', '.join(AGGREGATED)}"
    )
    scaling: str = setting("match-each-block", f"length of the whole update: {', '.join(SCALINGS)}")
    kernel: str = setting(
        "eager", f"how the pass over all dimensions is run: {', '.join(KERNELS)} (for long runs)"
    )

    def build(self, partition: ModalityPartition) -> BOGC:
        """Make the balancer that these names describe.

        Raises:
            ConfigError: A name is unknown, or SVI is asked for with a posterior it does not fit.
            RangeError: A number is out of range.
        """
        frame = choose("frame", self.frame, FRAMES)()
        pipeline = Pipeline(
            prior=self._prior(),
            route=self._route(),
            evidence=choose("evidence", self.evidence, EVIDENCE_MAPS)(self.prior_weight, frame),
            fold=choose("combination", self.combination, FOLDS),
            weights=choose("weights", self.weights, WEIGHTS)(),
            conservatism=choose("conservatism", self.conservatism, CONSERVATISMS)(),
            aggregated=choose("aggregated", self.aggregated, AGGREGATED)(),
        )
        scaling = choose("scaling", self.scaling, SCALINGS)()
        kernel = choose("kernel", self.kernel, KERNELS)()
        return BOGC(partition, self._estimator(), pipeline, scaling, kernel)

    def _estimator(self) -> MomentEstimator:
        made: dict[type[MomentEstimator], MomentEstimator] = {
            Streaming: Streaming(self.decay),
            Grouped: Grouped(self.groups),
            PerSample: PerSample(),
            PerRow: PerRow(),
        }
        return made[choose("estimator", self.estimator, ESTIMATORS)]

    def _prior(self) -> PriorPolicy:
        block = BlockPrior(self.prior_decay)
        made: dict[str, PriorPolicy] = {
            "block": block,
            "dimension": DimensionPrior(self.prior_decay),
            "fixed": FixedPrior(self.prior_variance),
            "filtered": FilteredPrior(start=block),
        }
        return choose("prior", self.prior, made)

    def _route(self) -> PosteriorRoute:
        route = choose("posterior", self.posterior, ROUTES)()
        if choose("inference", self.inference, dict.fromkeys(INFERENCES, self.inference)) == "closed-form":
            return route
        if self.posterior != "normal":
            remedy = "Use --posterior normal, whose program the guide fits."
            raise ConfigError("inference", "svi fits the normal posterior only", self.posterior, remedy)
        return VariationalRoute()
