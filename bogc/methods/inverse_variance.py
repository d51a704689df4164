"""Inverse-variance fusion of the sources' gradients, dimension by dimension."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.calibration import Memory
from bogc.calibration.tracker import Look, MomentTracker, rows_of
from bogc.checks import check_number, check_real
from bogc.gradients import ModalityPartition, MomentEstimator, Successive
from bogc.gradients.groups import WIDTH
from bogc.methods.base import Balancer, Step
from bogc.methods.batch import EVERYWHERE, SHARDS, BatchView
from bogc.methods.info import StepInfo
from bogc.methods.registry import Job, method, setting
from bogc.methods.remembering import Remembering
from bogc.methods.search import Uniform


def inverse_variance_weights(
    variances: Float[Tensor, "S *any"], power: float = 1.0
) -> Float[Tensor, "S *any"]:
    """w_s proportional to v_s^-power, summing to 1 over sources (theory 6.30); equal where all v are 0."""
    tiny = torch.finfo(variances.dtype).tiny
    logarithms = variances.clamp(min=tiny).log()
    return torch.softmax(-power * logarithms, dim=0)


class InverseVariance(Remembering):
    """g_d = S sum_s w_sd g_sd with w_sd proportional to 1 / Var(g_sd): no prior, no evidence, no belief.

    The weights of least variance, were the sources independent and unbiased for one quantity (theory 6.30).
    S, the number of sources that reach the block, makes equal variances give the plain sum. A block whose
    variance is not known yet gets the plain sum too.

    Args:
        partition: Which modules belong to which modality.
        estimator: Where the variance of a gradient comes from; ``Successive()`` by default.
        strength: Power of the variances; 0 is the plain sum.
    """

    supports = (*EVERYWHERE, SHARDS)

    def __init__(
        self, partition: ModalityPartition, estimator: MomentEstimator | None = None, strength: float = 1.0
    ) -> None:
        check_real(strength=strength)
        check_number("strength", strength, strength >= 0, "must not be negative", "Use 1.")
        super().__init__(partition, MomentTracker(estimator or Successive()))
        self.strength = strength

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        memory: Memory = state["memory"]
        values = seen.values()
        looks = self.looks(seen, values)
        gradients: dict[nn.Parameter, Tensor] = {}
        for look in looks:
            direction = self._direction(look).mul_(self.unit)
            gradients |= look.group.layout.unpack(direction)
        self.remember(memory, looks)
        return Step(gradients, StepInfo.of(values), self.next(state), owned=True)

    def _direction(self, look: Look) -> Float[Tensor, " D"]:
        group, layout, tracker = look.group, look.group.layout, self.tracker
        ready, known = tracker.ready(look.memory, tracker.start), tracker.begin(look)
        plain = group.gradients.sum(0)
        direction, gaps = torch.empty_like(plain), []
        for rows in layout.chunks(plain.device):
            some, numbers = rows_of(look, rows), known.rows(rows)
            gaps.append(tracker.advance(*some, numbers))
            gradients = some.gradients
            moments = tracker.moments(gradients, some.dims, numbers)
            weights = inverse_variance_weights(moments.noise, self.strength)
            torch.mul((weights * gradients).sum(0), len(gradients), out=direction.view(-1, WIDTH)[rows])
        tracker.close(look, known, gaps)
        if isinstance(ready, Tensor):
            return torch.where(layout.spread(ready).expand(-1, WIDTH).reshape(-1), direction, plain)
        return direction if ready else plain


@dataclass(frozen=True)
class InverseVarianceSettings:
    """How the variance is estimated and how much it counts."""

    decay: float = setting(0.95, "weight of the past in the variance, a step")
    strength: float = setting(1.0, "power of the variances; 0 is the plain sum", Uniform(0.25, 1.0))


@method(
    "inverse-variance",
    summary="precision-weighted gradients, without prior or belief",
    paper="textbook (theory 6.30)",
    needs="all losses, one a sample",
    passes="M + 1",
    settings=InverseVarianceSettings,
)
def _inverse_variance(job: Job) -> Balancer:
    return InverseVariance(job.model.partition(), Successive(job.settings.decay), job.settings.strength)
