"""The closed form of the usual pipelines: each dimension by itself, from moments to direction.

With the Normal route around zero and pseudo-count evidence, r = tau^2 / noise says everything about one
source in one dimension, in the frames of sign and of reliability alike: evidence is W r, belief
b = r / (1 + r), uncertainty 1 / (1 + r), the posterior mean b g, its variance b noise. The prior weight W
cancels.

The direction is M times a mean of the b g, or of the g, times a certainty in [0, 1] (``means.py``,
``certainties.py``). All of it is elementwise torch: it runs eagerly, compiled, and on any device, and never
waits for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from bogc.belief import Frame, PseudoCount, ReliabilityFrame, SignFrame
from bogc.calibration.accumulator import Accumulator, Source
from bogc.calibration.aggregated import Aggregated, BatchMean, PosteriorMean
from bogc.calibration.certainties import (
    FullCertainty,
    SignAgreement,
    SignCertainty,
    SumAgreement,
    SumCertainty,
    SupportCertainty,
)
from bogc.calibration.conservatism import Conservatism, FusedAgreement, FusedCertainty, NoConservatism
from bogc.calibration.means import (
    BeliefMean,
    EqualMean,
    PrecisionMean,
    Value,
    WeightedMean,
    batch_mean,
    posterior_mean,
)
from bogc.calibration.pipeline import Pipeline
from bogc.calibration.weights import EqualWeights, PrecisionWeights, RelativeBelief, Weights
from bogc.combination import Fold, cumulative, reduced
from bogc.posterior import BlockPrior, FixedPrior, NormalRoute

PRIORS: Final = (BlockPrior, FixedPrior)
MEANS: Final[dict[type[Weights], type[WeightedMean]]] = {
    RelativeBelief: BeliefMean,
    EqualWeights: EqualMean,
    PrecisionWeights: PrecisionMean,
}
VALUES: Final[dict[type[Aggregated], Value]] = {PosteriorMean: posterior_mean, BatchMean: batch_mean}
CERTAINTIES: Final[dict[tuple[type[Conservatism], Fold, type[Frame]], type[Accumulator]]] = {
    (FusedCertainty, reduced.fold, SignFrame): SignCertainty,
    (FusedCertainty, reduced.fold, ReliabilityFrame): SupportCertainty,
    (FusedCertainty, cumulative.fold, SignFrame): SumCertainty,
    (FusedCertainty, cumulative.fold, ReliabilityFrame): SumCertainty,
    (FusedAgreement, reduced.fold, SignFrame): SignAgreement,
    (FusedAgreement, cumulative.fold, SignFrame): SumAgreement,
    (NoConservatism, reduced.fold, SignFrame): FullCertainty,
    (NoConservatism, reduced.fold, ReliabilityFrame): FullCertainty,
    (NoConservatism, cumulative.fold, SignFrame): FullCertainty,
    (NoConservatism, cumulative.fold, ReliabilityFrame): FullCertainty,
}


@dataclass(frozen=True)
class ClosedForm:
    """Direction of a dimension from the moments of its sources.

    Attributes:
        mean: Weighted mean of what is aggregated.
        certainty: kappa / M.
    """

    mean: Accumulator
    certainty: Accumulator

    def write(
        self,
        gradients: Sequence[Tensor],
        scatters: Sequence[Tensor],
        floors: Sequence[Tensor],
        per_scatter: Sequence[Tensor],
        scales: Sequence[Tensor],
        out: Tensor,
    ) -> None:
        """Write the direction to ``out``, in the shape of a gradient; arguments have one entry a source.

        Args:
            gradients: Means over the batch.
            scatters: As in GradientMoments.
            floors: Least scatter.
            per_scatter: Twice the noise a unit of scatter: 2 / (degrees of freedom times N).
            scales: 2 tau^2.
            out: Where the direction goes.
        """
        given = list(zip(gradients, scatters, floors, per_scatter, scales, strict=True))
        first = Source.of(*given[0])
        if len(given) == 1:
            torch.mul(self.mean.only(first), self.certainty.only(first), out=out)
            return
        mean, certainty = self.mean.first(first), self.certainty.first(first)
        for moments in given[1:-1]:
            source = Source.of(*moments)
            mean, certainty = self.mean.add(mean, source), self.certainty.add(certainty, source)
        last = Source.of(*given[-1])
        direction = self.mean.finish(mean, last, len(given)).mul_(len(given))
        torch.mul(direction, self.certainty.finish(certainty, last, len(given)), out=out)


def closed_form(pipeline: Pipeline) -> ClosedForm | None:
    """Closed form of a pipeline, or None where only the chain of objects is known.

    It goes by exact types: a subclass may compute anything.
    """
    evidence = pipeline.evidence
    usual = (
        type(pipeline.prior) in PRIORS
        and type(pipeline.route) is NormalRoute
        and type(evidence) is PseudoCount
        and type(pipeline.weights) in MEANS
        and type(pipeline.aggregated) in VALUES
    )
    rule = (type(pipeline.conservatism), pipeline.fold, type(evidence.frame))
    if not usual or rule not in CERTAINTIES:
        return None
    mean = MEANS[type(pipeline.weights)](VALUES[type(pipeline.aggregated)])
    return ClosedForm(mean, CERTAINTIES[rule]())
