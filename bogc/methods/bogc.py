"""Bayesian-oriented gradient calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from bogc.belief import EVIDENCE_MAPS, FRAMES
from bogc.calibration import (
    AGGREGATED,
    CONSERVATISMS,
    SCALINGS,
    WEIGHTS,
    CalibratedBlocks,
    Calibrator,
    MatchEachBlock,
    Memory,
    Pipeline,
    Scaling,
)
from bogc.combination import RULES
from bogc.errors import ConfigError, UnsuitableError
from bogc.gradients import ESTIMATORS, ModalityPartition, MomentEstimator, Successive
from bogc.gradients.drawn import Heads
from bogc.methods.base import Balancer, Step
from bogc.methods.batch import EVERYWHERE, SHARDS, BatchView
from bogc.methods.info import StepInfo
from bogc.methods.registry import Job, method, setting
from bogc.methods.remembering import Remembering
from bogc.methods.search import Choice
from bogc.posterior import PRIORS, ROUTES, SuccessivePrior
from bogc.registry import Registry


class BOGC(Remembering):
    """g_d = kappa_d sum_m w_md g_md, dimension by dimension, from the fused opinion on each (theory 5.39).

    At a first step, when the variance of a source is not known yet, its blocks get the plain sum.

    Args:
        partition: Which modules belong to which modality.
        estimator: Where the variance of a gradient comes from; ``Successive()`` by default.
        pipeline: The choices between moments and update.
        scaling: The length of the updates; ``MatchEachBlock()`` by default.
        samples: Size of the training set, of which batches are drawn without replacement; None: not known.
            For the default pipeline only; otherwise the prior is told.
        compiled: Run the elementwise arithmetic through torch.compile: for long runs, it takes tens of
            seconds to compile and needs a C++ compiler.
    """

    supports = (*EVERYWHERE, SHARDS)

    def __init__(
        self,
        partition: ModalityPartition,
        estimator: MomentEstimator | None = None,
        pipeline: Pipeline | None = None,
        scaling: Scaling | None = None,
        *,
        samples: int | None = None,
        compiled: bool = False,
    ) -> None:
        self.pipeline = pipeline or Pipeline(prior=SuccessivePrior(samples=samples))
        self.scaling = scaling or MatchEachBlock()
        self.calibrator = Calibrator(estimator or Successive(), self.pipeline, self.scaling, compiled)
        super().__init__(partition, self.calibrator.tracker)
        self._shown: CalibratedBlocks | None = None

    @property
    def averages(self) -> bool:
        """Whether gradients are averaged over steps already, so that momentum must not do it again."""
        return bool(self.pipeline.route.remembers)

    def check_supports(self, over: str) -> None:
        """See the base class; sums over the dimensions of a block would be those of one process' rows."""
        super().check_supports(over)
        if over == SHARDS and self.pipeline.pools:
            rule = "must look at single dimensions where parameters are sharded"
            remedy = "Use the sign frame, normal or filtered posterior and pseudo-count evidence."
            raise UnsuitableError("pipeline", rule, "one that looks at whole blocks", remedy)

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        memory: Memory = state["memory"]
        losses = seen.values()
        looks = self.looks(seen, losses, look=self.calibrator.look)
        if self._shown is not None:
            self._shown.expire()
        found = self.calibrator.calibrate(looks, memory)
        self._spare, self._shown = found.spare, found.blocks
        layers = self.estimator.shown(seen.losses, self.partition)
        info = StepInfo(losses, found.blocks, last_layers=layers)
        return Step(found.gradients, info, self.next(state), owned=True)

    @classmethod
    def reading(
        cls,
        name: str,
        partition: ModalityPartition,
        *,
        heads: Heads | None = None,
        samples: int | None = None,
        **choices: Any,
    ) -> "BOGC":
        """Make a preset of choices: ``"conjugate"``, which is ``BOGC(partition)``, or ``"laplace"``.

        docs/readings.md says which step of each is the paper's, another source's, or ours.

        Args:
            name: A key of READINGS.
            partition: Which modules belong to which modality.
            heads: Last layer by source, for draws; found where it is not given.
            samples: Size of the training set.
            **choices: Fields of CalibrationSettings that are to differ from the preset.

        Raises:
            ConfigError: A name is unknown.
            RangeError: A number is out of range.
        """
        unknown = sorted(choices.keys() - {f.name for f in fields(CalibrationSettings)})
        if unknown:
            remedy = "See bogc.methods.CalibrationSettings."
            raise ConfigError("choices", "must be fields of CalibrationSettings", unknown, remedy)
        return CalibrationSettings(reading=name, **choices).build(partition, samples, heads)


READINGS: Final[Registry[Mapping[str, str]]] = Registry("reading")
"""Name of a reading -> what it takes for the settings that are left to it ("auto")."""
READINGS.register("conjugate")(
    {
        "estimator": "successive",
        "prior": "successive",
        "posterior": "normal",
        "evidence": "pseudo-count",
        "frame": "sign",
    }
)
READINGS.register("laplace")(
    {
        "estimator": "drawn",
        "prior": "fixed",  # has no part in it; a prior that learns would only delay the first update
        "posterior": "matched",
        "evidence": "power",
        "frame": "unit-dimensions",
    }
)
INFERENCES: Final[Registry[str]] = Registry("inference")
for _name in ("closed-form", "svi"):
    INFERENCES.register(_name)(_name)
AUTO: Final = "auto"


@dataclass(frozen=True)
class CalibrationSettings:
    """Every open choice of BOGC by name; theory/ and the README give the reasons for the defaults.

    Each field's metadata holds the help text of its command-line flag.
    """

    reading: str = setting("conjugate", f"what auto stands for: {', '.join(READINGS)}", names=READINGS)
    estimator: str = setting(
        AUTO, f"gradient moments: auto (by reading), {', '.join(ESTIMATORS)}", names=ESTIMATORS
    )
    decay: float = setting(0.95, "weight of the past in successive moments, a step")
    groups: int = setting(4, "groups of a batch, for grouped moments")
    draws: int = setting(8, "draws of the last layers, for drawn moments")
    damping: float = setting(1.0, "prior precision of the last layers, for drawn moments")
    draw_seed: int = setting(0, "seed of the draws")
    prior: str = setting(
        AUTO, f"scale of the prior: auto (by reading and posterior), {', '.join(PRIORS)}", names=PRIORS
    )
    prior_decay: float = setting(0.95, "weight of the past in the scale of the prior, a step")
    prior_variance: float = setting(1.0, "tau^2 of the fixed prior")
    posterior: str = setting(
        AUTO,
        f"posterior: auto (by reading), {', '.join(ROUTES)} (filtered replaces momentum: use --momentum 0)",
        names=ROUTES,
    )
    inference: str = setting(
        "closed-form",
        f"{', '.join(INFERENCES)} (svi fits the Pyro guide; small models only)",
        names=INFERENCES,
    )
    evidence: str = setting(
        AUTO, f"evidence map: auto (by reading), {', '.join(EVIDENCE_MAPS)}", names=EVIDENCE_MAPS
    )
    exponent: float = setting(0.5, "s of the power map")
    prior_weight: float = setting(2.0, "W, the weight of knowing nothing, in units of evidence")
    frame: str = setting(AUTO, f"frame of discernment: auto (by reading), {', '.join(FRAMES)}", names=FRAMES)
    combination: str = setting("dempster", f"fusion of opinions: {', '.join(RULES)}", names=RULES)
    weights: str = setting("relative-belief", f"weights of the sources: {', '.join(WEIGHTS)}", names=WEIGHTS)
    mix: float = setting(0.1, "eta of mixed-certainty weights")
    conservatism: str = setting(
        "fused-certainty",
        f"step length by the fused opinion: {', '.join(CONSERVATISMS)}",
        Choice(("fused-certainty", "none")),
        CONSERVATISMS,
    )
    aggregated: str = setting(
        AUTO,
        f"what of each source is weighted and summed: auto (by posterior), {', '.join(AGGREGATED)}",
        names=AGGREGATED,
    )
    scaling: str = setting(
        "match-each-block", f"length of the whole update: {', '.join(SCALINGS)}", names=SCALINGS
    )
    compiled: bool = setting(False, "run the pass over all dimensions through torch.compile")

    def build(
        self, partition: ModalityPartition, samples: int | None = None, heads: Heads | None = None
    ) -> BOGC:
        """Make the balancer that these names describe.

        Args:
            partition: Which modules belong to which modality.
            samples: Size of the training set.
            heads: Last layer by source, for drawn moments; found where it is not given.

        Raises:
            ConfigError: A name is unknown, or SVI is asked for with a posterior it does not fit.
            RangeError: A number is out of range.
        """
        chosen = self.resolved()
        given = vars(self) | {"samples": samples, "heads": heads}
        pipeline = Pipeline(
            prior=PRIORS.choose(chosen["prior"]).from_settings(given),
            route=self._route(chosen["posterior"]),
            evidence=EVIDENCE_MAPS.choose(chosen["evidence"]).from_settings(
                given, FRAMES.choose(chosen["frame"])()
            ),
            rule=RULES.choose(self.combination),
            weights=WEIGHTS.choose(self.weights).from_settings(given),
            conservatism=CONSERVATISMS.choose(self.conservatism)(),
            aggregated="" if self.aggregated == AUTO else AGGREGATED.choose(self.aggregated),
        )
        estimator = ESTIMATORS.choose(chosen["estimator"]).from_settings(given)
        scaling = SCALINGS.choose(self.scaling)()
        return BOGC(partition, estimator, pipeline, scaling, compiled=self.compiled)

    def resolved(self) -> dict[str, str]:
        """Name by field of what the reading decides unless it is chosen."""
        reading = READINGS.choose(self.reading)
        given = {name: getattr(self, name) for name in reading}
        chosen = {name: reading[name] if value == AUTO else value for name, value in given.items()}
        if self.prior == AUTO and chosen["posterior"] == "filtered":
            chosen["prior"] = "stationary"
        return chosen

    def _route(self, posterior: str) -> Any:
        route = ROUTES.choose(posterior)()
        if INFERENCES.choose(self.inference) == "closed-form":
            return route
        if posterior != "normal":
            remedy = "Use --posterior normal, whose program the guide fits."
            raise ConfigError("inference", "svi fits the normal posterior only", posterior, remedy)
        from bogc.posterior.program import VariationalRoute  # Pyro takes as long to import as torch

        return VariationalRoute()


@method(
    "bogc",
    summary="Bayesian-oriented gradient calibration",
    paper="arXiv 2505.23071 (reconstruction)",
    needs="all losses, one a sample",
    passes="M + 1",
    settings=CalibrationSettings,
    table="calibration",
)
def _bogc(job: Job) -> Balancer:
    made: BOGC = job.settings.build(job.model.partition(), job.samples)
    return made


@method(
    "bogc-laplace",
    summary="bogc with the reading `laplace`",
    paper="arXiv 2505.23071 (reconstruction)",
    needs="all losses, one a sample, as a closure",
    passes="(M + 1)(S + 1), and S forward",
    settings=CalibrationSettings,
    table="calibration",
)
def _bogc_laplace(job: Job) -> Balancer:
    made: BOGC = replace(job.settings, reading="laplace").build(job.model.partition(), job.samples)
    return made
