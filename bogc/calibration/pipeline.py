"""The chain from the moments of each source to the calibrated update, the same for one block and for many.

moments -> prior -> posterior -> evidence -> fused evidence -> update. Objects hold M stacked sources, [M, D]
for one block or [M, R, width] for the rows of many; what looks at a whole block goes through a ``Pool``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import Evidence, EvidenceMap, Opinion, PseudoCount
from bogc.calibration.conservatism import Conservatism, FusedCertainty
from bogc.calibration.update import CalibratedUpdate, aggregate
from bogc.calibration.weights import RelativeBelief, Weights
from bogc.checks import check_type
from bogc.combination import Rule, reduced
from bogc.errors import ConfigError
from bogc.gradients import ONE_BLOCK, GradientMoments, Pool
from bogc.posterior import (
    GradientPosterior,
    GradientPrior,
    NormalRoute,
    PosteriorRoute,
    PriorPolicy,
    SuccessivePrior,
)
from bogc.registry import Registry

AGGREGATED: Final[Registry[str]] = Registry("aggregated")
BATCH_MEAN: Final = AGGREGATED.register("batch-mean")("batch-mean")
POSTERIOR_MEAN: Final = AGGREGATED.register("posterior-mean")("posterior-mean")
"""What of each source is weighted and summed: g_m, so that belief counts once, as weight (theory 5.39), or
mu_m = b_m g_m, which belief shrinks and then weighs (5.4)."""


@dataclass(frozen=True)
class Pipeline:
    """The open choices between a gradient's moments and its calibrated update, each a named object.

    Attributes:
        prior: Sets tau^2.
        route: Makes the posterior.
        evidence: Counts evidence, on a frame.
        rule: Combines the sources.
        weights: How much each source counts.
        conservatism: How large a step the fused opinion allows.
        aggregated: What is summed: "batch-mean", "posterior-mean", or "" for what suits the route.

    Raises:
        TypeMismatchError: FusedAgreement without the sign frame.
        ConfigError: ``aggregated`` is something else, or a filter has a prior without phi.
    """

    prior: PriorPolicy = field(default_factory=SuccessivePrior)
    route: PosteriorRoute = field(default_factory=NormalRoute)
    evidence: EvidenceMap = field(default_factory=PseudoCount)
    rule: Rule = reduced.RULE
    weights: Weights = field(default_factory=RelativeBelief)
    conservatism: Conservatism = field(default_factory=FusedCertainty)
    aggregated: str = ""

    def __post_init__(self) -> None:
        kinds = {"prior": PriorPolicy, "route": PosteriorRoute, "evidence": EvidenceMap, "rule": Rule}
        kinds |= {"weights": Weights, "conservatism": Conservatism, "aggregated": str}
        for name, kind in kinds.items():
            check_type(name, getattr(self, name), kind, "Make one of the registered classes, or your own.")
        self.conservatism.check(self.evidence.frame)
        AGGREGATED.choose(self.aggregated or self.route.aggregates)
        if self.route.remembers and self.prior.lags < 2:
            rule, remedy = "must estimate phi for a filtered posterior", "Use StationaryPrior()."
            raise ConfigError("prior", rule, type(self.prior).__name__, remedy)

    @property
    def pools(self) -> bool:
        """Whether an update depends on other dimensions of its block beyond the prior's scale."""
        return self.route.pools or self.evidence.pools or self.evidence.frame.pools

    def values(self, moments: GradientMoments, posterior: GradientPosterior) -> Float[Tensor, "M *any D"]:
        """What is aggregated."""
        means = (self.aggregated or self.route.aggregates) == BATCH_MEAN
        return moments.mean if means else posterior.loc

    def update(
        self,
        moments: GradientMoments,
        posterior: GradientPosterior,
        prior: GradientPrior,
        pool: Pool = ONE_BLOCK,
    ) -> tuple[Evidence, Evidence, CalibratedUpdate]:
        """Return the evidence of M stacked sources, that of all together, and the update of all.

        Pure and unchecked; never waits for the device.
        """
        evidence = self.evidence(posterior, prior, pool)
        fused = self.rule.fuse(evidence)
        values = self.values(moments, posterior)
        frame = self.evidence.frame
        return (
            evidence,
            fused,
            aggregate(values, posterior, evidence, fused, frame, self.weights, self.conservatism, pool),
        )


@dataclass(frozen=True, eq=False)
class CalibratedBlock:
    """Every station of one block, for whoever wants to look; by source name, each [D].

    Attributes:
        moments: Of the batch, one a source that reaches the block.
        priors: Before the batch.
        posteriors: After it.
        opinions: On the frame's hypotheses.
        fused: Their combination.
        update: The calibrated update before its length is set.
        length: What the update is multiplied by then, so that ``length * update.direction`` is what was added
            to ``.grad``.
    """

    moments: dict[str, GradientMoments]
    priors: dict[str, GradientPrior]
    posteriors: dict[str, GradientPosterior]
    opinions: dict[str, Opinion]
    fused: Opinion
    update: CalibratedUpdate
    length: Float[Tensor, ""]


def calibrate_block(
    moments: Mapping[str, GradientMoments], priors: Mapping[str, GradientPrior], pipeline: Pipeline
) -> CalibratedBlock:
    """Run the chain for the moments [D] of each source in one block; never waits for the device.

    Args:
        moments: By source name.
        priors: Likewise.
        pipeline: The choices; a filtered posterior is taken at its first step.
    """
    every = stack_moments(list(moments.values()))
    prior = stack_priors(list(priors.values()), every)
    posterior = pipeline.route(every, prior)
    return stations(tuple(moments), every, prior, posterior, pipeline)


def stations(
    sources: tuple[str, ...],
    moments: GradientMoments,
    prior: GradientPrior,
    posterior: GradientPosterior,
    pipeline: Pipeline,
) -> CalibratedBlock:
    """Show the objects of M stacked sources [M, D] one by one."""
    evidence, fused, update = pipeline.update(moments, posterior, prior)
    shown = update.spread()
    weight = evidence.prior_weight
    rows = range(len(sources))
    opinions = [
        Opinion.from_evidence(Evidence.unchecked(values=v, prior_weight=weight)) for v in evidence.values
    ]
    return CalibratedBlock(
        dict(zip(sources, (_row(GradientMoments, moments, m) for m in rows), strict=True)),
        dict(
            zip(
                sources,
                (GradientPrior.centred(v) for v in prior.variance.expand_as(moments.mean)),
                strict=True,
            )
        ),
        dict(zip(sources, (_row(GradientPosterior, posterior, m) for m in rows), strict=True)),
        dict(zip(sources, opinions, strict=True)),
        Opinion.from_evidence(fused),
        shown,
        update.direction.new_ones(()),
    )


def stack_moments(moments: list[GradientMoments]) -> GradientMoments:
    """Put the moments [D] of M sources into one object, [M, D]."""
    names = ("mean", "scatter", "count", "degrees_of_freedom")
    return GradientMoments.unchecked(
        **{name: torch.stack([getattr(m, name) for m in moments]) for name in names}
    )


def stack_priors(priors: list[GradientPrior], like: GradientMoments) -> GradientPrior:
    """Put the priors of M sources into one object."""
    shape = like.mean.shape[1:]
    return GradientPrior.unchecked(
        loc=torch.stack([prior.loc.expand(shape) for prior in priors]),
        variance=torch.stack([prior.variance.expand(shape) for prior in priors]),
    )


def _row(kind: type, stacked: object, row: int):  # type: ignore[no-untyped-def]
    """Object of one source."""
    return kind.unchecked(**{name: getattr(stacked, name)[row] for name in kind.__dataclass_fields__})  # type: ignore[attr-defined]
