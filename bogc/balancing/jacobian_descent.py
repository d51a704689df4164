"""Jacobian-descent aggregators of torchjd on the gradients of the sources; an optional dependency."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.balancing.balancer import Balancer, Step
from bogc.balancing.fields import choose, setting
from bogc.balancing.info import StepInfo
from bogc.balancing.observation import Observation
from bogc.balancing.share import EVERYWHERE
from bogc.balancing.source_jacobian import SourceJacobian, combine, jacobians_seen
from bogc.checks import check_number
from bogc.errors import UnsuitableError
from bogc.gradients import ModalityPartition, check_finite_step

try:
    from torchjd.aggregation import MGDA, CAGrad, NashMTL, PCGrad, UPGrad
except ImportError:
    TORCHJD = False
else:
    TORCHJD = True

Aggregate = Callable[[Float[Tensor, "S D"]], Float[Tensor, " D"]]


class JacobianDescent(Balancer):
    """One aggregation for each encoder, of the gradients that meet there.

    Aggregators see only rows with respect to the same parameters. Where one loss alone arrives, as in a
    head, its gradient is kept. Most of them return something like a mean of the rows, not a sum, so the
    learning rate has to be tuned for each.

    Args:
        partition: Which modules belong to which modality.
        aggregate: Rows [S, D] -> direction [D]; S is 2 or more.
        strength: From the plain sum (0) to the aggregation (1), linearly; ours.
    """

    divisible = EVERYWHERE

    def __init__(self, partition: ModalityPartition, aggregate: Aggregate, strength: float = 1.0) -> None:
        super().__init__(partition)
        check_number("strength", strength, 0 <= strength <= 1, "must lie in [0, 1]", "Use 1.")
        self.aggregate = aggregate
        self.strength = strength

    def step(self, seen: Observation, state: Mapping[str, Any]) -> Step:
        """See the base class; one backward pass a source, and what the aggregator needs."""
        jacobians = jacobians_seen(seen, self.partition)
        values = seen.values()
        check_finite_step(  # before aggregating: solvers fail on NaN in ways of their own
            {f"losses[{source!r}]": [value] for source, value in values.items()}
            | {"gradient": [jacobian.rows for jacobian in jacobians]}
            | {"squares of the gradient": [jacobian.rows.square() for jacobian in jacobians]}
        )

        def interpolated(jacobian: SourceJacobian) -> Tensor:
            plain = jacobian.rows.sum(0)
            if self.strength == 0:
                return plain
            return torch.lerp(plain, self.aggregate(jacobian.rows), self.strength)

        with seen.share.team.one_generator():  # aggregators may draw
            gradients = combine(jacobians, interpolated)
        return Step(gradients, StepInfo.of(values))


def at_unit_length(aggregate: Aggregate) -> Aggregate:
    """Divide the rows by their common length first, and multiply by it again.

    Changes nothing for an aggregator that is positively homogeneous, except that torchjd's UPGrad and CAGrad
    take rows shorter than about 0.01 for zero: UPGrad then returns their mean, CAGrad no update at all.
    """

    def aggregate_scaled(rows: Float[Tensor, "S D"]) -> Float[Tensor, " D"]:
        length = rows.norm().clamp(min=torch.finfo(rows.dtype).tiny)
        direction: Tensor = length * aggregate(rows / length)
        return direction

    return aggregate_scaled


def upgrad() -> Aggregate:
    """UPGrad (Quinton and Rey, arXiv 2406.16232), at unit length."""
    return at_unit_length(UPGrad())


def mgda() -> Aggregate:
    """MGDA (Desideri 2012), the shortest convex combination."""
    return MGDA()


def pcgrad() -> Aggregate:
    """PCGrad (Yu et al., arXiv 2001.06782); projects in an order drawn from the global generator."""
    return PCGrad()


def cagrad(c: float = 0.5) -> Aggregate:
    """CAGrad (Liu et al., arXiv 2110.14048), within ``c`` >= 0 times the mean's length from the mean."""
    check_number("c", c, c >= 0, "must not be negative", "Use 0.5.")
    return at_unit_length(CAGrad(c=c))


def nash_mtl() -> Aggregate:
    """Nash-MTL (Navon et al., arXiv 2202.01017), started anew at every step, so that it carries no state."""
    NashMTL(n_tasks=2)  # a solver that is not installed is missed here, not at the first step

    def aggregate(rows: Float[Tensor, "S D"]) -> Float[Tensor, " D"]:
        if not bool((rows @ rows.T).any()):  # nothing to bargain about, where the solver would fail
            return torch.zeros_like(rows[0])
        with warnings.catch_warnings():
            for kind in (UserWarning, RuntimeWarning):  # of the solver: the form of the problem, opposed rows
                warnings.simplefilter("ignore", kind)
            direction: Tensor = NashMTL(n_tasks=len(rows))(rows)
        return direction

    return aggregate


AGGREGATORS: Final[dict[str, Callable[[], Aggregate]]] = {
    "upgrad": upgrad,
    "mgda": mgda,
    "pcgrad": pcgrad,
    "cagrad": cagrad,
    "nash-mtl": nash_mtl,
}


@dataclass(frozen=True)
class JacobianDescentSettings:
    """What the aggregators share, and CAGrad's constant."""

    strength: float = setting(1.0, "from the plain sum (0) to the aggregation (1)")
    c: float = setting(0.5, "how far CAGrad may go from the mean, in units of the mean's length")

    def build(self, partition: ModalityPartition, aggregator: str) -> JacobianDescent:
        """Make the balancer with an aggregator of torchjd.

        Raises:
            ConfigError: No aggregator has that name.
            UnsuitableError: torchjd or a solver of its is not installed.
            RangeError: A number is out of range.
        """
        make = choose("aggregator", aggregator, AGGREGATORS)
        rule, remedy = "needs torchjd with its solvers", "Run pip install 'bogc[peers]'."
        if not TORCHJD:
            raise UnsuitableError("method", rule, f"no torchjd, {aggregator}", remedy)
        try:
            aggregate = cagrad(self.c) if aggregator == "cagrad" else make()
        except ImportError as error:  # torchjd is there, a solver is not
            raise UnsuitableError("method", rule, error, remedy) from None
        return JacobianDescent(partition, aggregate, self.strength)
