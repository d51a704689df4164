"""I2M2's recipe: train the experts apart, then their product together (arXiv 2405.17613)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bogc.checks import check_number, check_real
from bogc.gradients import FUSION, ModalityPartition
from bogc.methods.base import Balancer, Step, plain_step
from bogc.methods.batch import EVERYWHERE, BatchView
from bogc.methods.info import StepInfo
from bogc.methods.registry import EXPERTS, Job, method, setting
from bogc.methods.search import Uniform


class I2M2(Balancer):
    """The experts' own losses for ``apart`` steps, the loss of their product from then on.

    Made for ``ProductOfExperts``, whose experts, the joint one included, share no parameter: the gradient of
    the sum of their losses trains each exactly as if it were alone, so the recipe's first two stages
    (unimodal experts, joint expert) run side by side. The released code gives the joint expert ten times the
    learning rate of the others; here they have one.

    Args:
        partition: Every expert a modality.
        apart: Number of steps before the product is trained; 0 trains the product from the start.
    """

    supports = EVERYWHERE

    def __init__(self, partition: ModalityPartition, apart: int) -> None:
        super().__init__(partition)
        check_real(apart=apart)
        check_number("apart", apart, apart >= 0, "must not be negative", "Use half of all steps.")
        self.apart = apart

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        done: int = state.get("steps", 0)
        values = seen.values()
        experts = [source for source in values if source != FUSION]
        trained = experts if done < self.apart and experts else [FUSION]
        step = plain_step(seen, dict.fromkeys(trained, 1.0))
        return Step(step.gradients, StepInfo.of(values), {"steps": done + 1})


@dataclass(frozen=True)
class I2M2Settings:
    """When the experts start to train together."""

    apart: float = setting(0.5, "share of the steps in which experts train apart", Uniform(0.25, 0.75))


@method(
    "i2m2",
    summary="product of experts, first trained apart",
    paper="arXiv 2405.17613",
    needs="a product of experts; all its losses",
    passes="1",
    settings=I2M2Settings,
    model=EXPERTS,
)
def _i2m2(job: Job) -> Balancer:
    apart = job.settings.apart
    check_number("apart", apart, 0 <= apart <= 1, "must lie in [0, 1]", "Use 0.5.")
    return I2M2(job.model.partition(), round(apart * job.steps))
