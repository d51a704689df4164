"""One block through the whole chain, from the moments of each source to the calibrated update."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from bogc.belief import DirichletBelief, EvidenceMap, Opinion, PseudoCount, SignFrame
from bogc.calibration.aggregated import Aggregated, BatchMean
from bogc.calibration.conservatism import Conservatism, FusedAgreement, FusedCertainty
from bogc.calibration.update import CalibratedUpdate, calibrate
from bogc.calibration.weights import RelativeBelief, Weights
from bogc.checks import check_type
from bogc.combination import Fold, reduced
from bogc.gradients import GradientMoments
from bogc.posterior import BlockPrior, GradientPosterior, NormalRoute, PosteriorRoute, PriorPolicy

PriorState = Mapping[str, Tensor]


@dataclass(frozen=True)
class Pipeline:
    """The open choices between a gradient's moments and its calibrated update, each a named object.

    Raises:
        TypeMismatchError: FusedAgreement without the sign frame.
    """

    prior: PriorPolicy = field(default_factory=BlockPrior)
    route: PosteriorRoute = field(default_factory=NormalRoute)
    evidence: EvidenceMap = field(default_factory=PseudoCount)
    fold: Fold = reduced.fold
    weights: Weights = field(default_factory=RelativeBelief)
    conservatism: Conservatism = field(default_factory=FusedCertainty)
    aggregated: Aggregated = field(default_factory=BatchMean)

    def __post_init__(self) -> None:
        if isinstance(self.conservatism, FusedAgreement):
            check_type(
                "frame", self.evidence.frame, SignFrame, "FusedAgreement needs a sign; use FusedCertainty."
            )


@dataclass(frozen=True, eq=False)
class CalibratedBlock:
    """Every station of one block, for the update and for whoever wants to look.

    Attributes:
        posteriors: One [D] a source that reaches the block, by source name.
        opinions: One a source, by source name.
        fused: Their combination.
        update: The calibrated update [D].
    """

    posteriors: dict[str, GradientPosterior]
    opinions: dict[str, Opinion]
    fused: Opinion
    update: CalibratedUpdate


def calibrate_block(
    moments: Mapping[str, GradientMoments], states: Mapping[str, PriorState], pipeline: Pipeline
) -> tuple[CalibratedBlock, dict[str, PriorState]]:
    """Run the chain for the moments [D] of each source; never waits for the device.

    Args:
        moments: By source name.
        states: The prior policy's state by source name; a source not seen before has none.
        pipeline: The choices.

    Returns:
        The stations, and the next states; those of absent sources are kept.
    """
    posteriors: dict[str, GradientPosterior] = {}
    opinions: dict[str, Opinion] = {}
    means: list[Tensor] = []
    following = dict(states)
    for source, raw in moments.items():
        prior, state = pipeline.prior.propose(raw, states.get(source, {}))
        observed = raw.floored()  # so that no dimension's evidence is infinite; the scale is that of all
        posterior = pipeline.route(observed, prior)
        evidence = pipeline.evidence(posterior, prior)
        opinions[source] = Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))
        posteriors[source] = posterior
        means.append(pipeline.aggregated(observed, posterior))
        following[source] = pipeline.prior.absorb(state, posterior)
    fused = pipeline.fold(list(opinions.values()))
    update = calibrate(
        list(posteriors.values()),
        list(opinions.values()),
        fused,
        means=means,
        frame=pipeline.evidence.frame,
        weights=pipeline.weights,
        conservatism=pipeline.conservatism,
    )
    return CalibratedBlock(posteriors, opinions, fused, update), following
