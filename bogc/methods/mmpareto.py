"""MMPareto: the shortest convex combination of an encoder's two gradients, lengthened (arXiv 2405.17730)."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number, check_real
from bogc.gradients import ModalityPartition
from bogc.methods.base import Balancer, Step
from bogc.methods.batch import EVERYWHERE, BatchView
from bogc.methods.registry import Job, method, setting
from bogc.methods.separate import Jacobian, combine, interpolate, separate_step

PAIR = 2


def min_norm_weight(a: Float[Tensor, " D"], b: Float[Tensor, " D"], edge: float = 0.0) -> Float[Tensor, ""]:
    """Weight of ``a`` in the shortest vector between ``a`` and ``b`` (theory 6.16); 1/2 if they are equal.

    Args:
        a: One gradient.
        b: The other.
        edge: What stands for 0, and 1 - edge for 1, at the ends of the segment.
    """
    span = b - a
    vertex = torch.nan_to_num(span.dot(b) / span.dot(span), nan=0.5, posinf=0.5, neginf=0.5)
    return torch.where(vertex >= 1, 1 - edge, torch.where(vertex <= 0, edge, vertex))


def pareto_weight(a: Float[Tensor, " D"], b: Float[Tensor, " D"], edge: float = 0.0) -> Float[Tensor, ""]:
    """1/2 where the gradients agree, else the weight of the shortest combination (theory 6.18)."""
    return torch.where(a.dot(b) > 0, 0.5, min_norm_weight(a, b, edge))


def common_direction(
    a: Float[Tensor, " D"], b: Float[Tensor, " D"], weight: Float[Tensor, ""]
) -> Float[Tensor, " D"]:
    """h = 2 (w a + (1 - w) b) (theory 6.18), or zero where it is no more than rounding.

    Opposed gradients have no common descent (theory 6.17). What rounding leaves of h would point anywhere,
    and be lengthened to the size of a whole step.
    """
    direction = 2 * (weight * a + (1 - weight) * b)
    rounding = 64 * torch.finfo(a.dtype).eps * b.norm()  # 31 was the most seen, with a million dimensions
    return torch.where(direction.norm() > rounding, direction, 0.0)


def lengthen(
    direction: Float[Tensor, " D"], plain: Float[Tensor, " D"], factor: float
) -> Float[Tensor, " D"]:
    """Rescale to ``factor`` times at least the length of ``plain`` (theory 6.19); zero stays zero."""
    length = direction.norm()
    ratio = torch.where(length > 0, plain.norm() / length, 1.0)
    return factor * direction * ratio.clamp(min=1)


class ParetoBalancer(Balancer):
    """What both spellings of MMPareto share: pairs of gradients, one pair an encoder.

    Where more than two sources meet, as in a trunk shared by all modalities, the method says nothing and the
    plain sum is kept. What counts are the sources of the batch: while a single modality is present, a trunk
    sees a pair and is treated like its encoder.

    Args:
        partition: Which modules belong to which modality.
        factor: The constant that lengthens the update, 1.5 in the released code.
        strength: From the plain sum (0) to MMPareto (1), linearly; ours.
    """

    supports = EVERYWHERE

    def __init__(self, partition: ModalityPartition, factor: float = 1.5, strength: float = 1.0) -> None:
        super().__init__(partition)
        check_real(factor=factor, strength=strength)
        check_number("factor", factor, factor > 0, "must be positive", "Use 1.5.")
        check_number("strength", strength, 0 <= strength <= 1, "must lie in [0, 1]", "Use 1.")
        self.factor = factor
        self.strength = strength

    @abstractmethod
    def direction(self, pair: Jacobian) -> tuple[Tensor, Tensor]:
        """Return the direction [D] for two rows, and the weight of the fusion's row."""

    @final
    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class; one backward pass a source."""
        groups = seen.groups(self.estimator)
        factors: dict[str, Tensor] = {}

        def aggregate(jacobian: Jacobian) -> Tensor:
            plain = jacobian.rows.sum(0)
            if len(jacobian.sources) != PAIR:
                return plain
            direction, factors[jacobian.owner] = self.direction(jacobian)
            return interpolate(plain, direction, self.strength)

        return separate_step(seen, groups, combine(groups, aggregate), factors)


@final
class MMPareto(ParetoBalancer):
    """The paper's: both the weight and the length belong to the encoder as a whole, so descent is kept.

    Where the two gradients are opposed, no direction lowers both losses and the encoder is left as it is.
    """

    def direction(self, pair: Jacobian) -> tuple[Tensor, Tensor]:
        """See the base class."""
        a, b = pair.rows
        weight = pareto_weight(a, b)
        return lengthen(common_direction(a, b, weight), a + b, self.factor), weight


@final
class ReleasedMMPareto(ParetoBalancer):
    """As in the released code: every parameter tensor is lengthened by itself.

    That can raise a loss (theory 6.20). At the ends of the segment its solver returns .999 and .001.
    """

    def direction(self, pair: Jacobian) -> tuple[Tensor, Tensor]:
        """See the base class."""
        a, b = pair.rows
        weight = pareto_weight(a, b, edge=0.001)
        direction, plain = 2 * (weight * a + (1 - weight) * b), a + b
        for place in pair.tensors:
            direction[place] = lengthen(direction[place], plain[place], self.factor)
        return direction, weight


@dataclass(frozen=True)
class MMParetoSettings:
    """The constants of both spellings."""

    factor: float = setting(1.5, "constant that lengthens the update")
    strength: float = setting(1.0, "from the plain sum (0) to MMPareto (1)")


@method(
    "mmpareto",
    summary="shortest combination of an encoder's two gradients, lengthened",
    paper="arXiv 2405.17730",
    needs="all losses",
    passes="M + 1",
    settings=MMParetoSettings,
)
def _mmpareto(job: Job) -> Balancer:
    return MMPareto(job.model.partition(), job.settings.factor, job.settings.strength)


@method(
    "mmpareto-released",
    summary="MMPareto as released: lengthened tensor by tensor",
    paper="released code of arXiv 2405.17730",
    needs="all losses",
    passes="M + 1",
    settings=MMParetoSettings,
    table="mmpareto",
)
def _released_mmpareto(job: Job) -> Balancer:
    return ReleasedMMPareto(job.model.partition(), job.settings.factor, job.settings.strength)
