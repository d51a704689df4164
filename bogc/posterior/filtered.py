"""The filtered route: yesterday's posterior, widened by process noise, is today's prior.

One scalar Kalman filter a dimension (Kalman 1960): the prediction adds q, the update is the Normal-Normal
one. Its mean is a momentum whose coefficient follows from the two variances instead of being set.
"""

from dataclasses import dataclass, field

from torch import Tensor

from bogc.checks import check_number
from bogc.gradients import GradientMoments
from bogc.posterior.gradient_posterior import GradientPosterior
from bogc.posterior.prior import BlockPrior, EmpiricalBayes, GradientPrior, PriorPolicy, State


def predict(previous: GradientPosterior, process_noise: Tensor) -> GradientPrior:
    """Kalman prediction of a random walk: same mean, variance v + q; q >= 0 broadcastable to [..., D]."""
    return GradientPrior.unchecked(loc=previous.loc, variance=previous.variance + process_noise)


@dataclass(frozen=True)
class FilteredPrior(PriorPolicy):
    """Kalman prediction as a prior policy; the first step uses ``start``.

    Attributes:
        process: q as a fraction of the scale tau^2 that ``start`` proposes: how far the true gradient moves
            in a step, so that the filter, too, is invariant to the scale of the loss.
        start: The policy that proposes tau^2.
    """

    process: float = 0.1
    start: EmpiricalBayes = field(default_factory=BlockPrior)

    def __post_init__(self) -> None:
        check_number("process", self.process, self.process > 0, "must be positive", "Use 0.1.")

    def propose(self, moments: GradientMoments, state: State) -> tuple[GradientPrior, State]:
        """See the base class."""
        own = {name: state[name] for name in ("loc", "variance") if name in state}
        first, scale = self.start.propose(moments, {k: v for k, v in state.items() if k not in own})
        if not own:
            return first, scale
        previous = GradientPosterior.unchecked(**own)
        return predict(previous, self.process * first.variance), {**scale, **own}

    def absorb(self, state: State, posterior: GradientPosterior) -> State:
        """Keep the posterior for the next step."""
        return {**state, "loc": posterior.loc, "variance": posterior.variance}
