"""Jacobian-descent aggregators of torchjd on the gradients of the sources; an optional dependency."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number, check_real
from bogc.errors import UnsuitableError
from bogc.gradients import ModalityPartition
from bogc.methods.base import Balancer, Step
from bogc.methods.batch import EVERYWHERE, BatchView, check_finite_groups
from bogc.methods.registry import Job, method, setting
from bogc.methods.separate import Jacobian, combine, interpolate, separate_step

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

    supports = EVERYWHERE

    def __init__(self, partition: ModalityPartition, aggregate: Aggregate, strength: float = 1.0) -> None:
        super().__init__(partition)
        check_real(strength=strength)
        check_number("strength", strength, 0 <= strength <= 1, "must lie in [0, 1]", "Use 1.")
        self.aggregate = aggregate
        self.strength = strength

    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class; one backward pass a source, and what the aggregator needs."""
        groups = seen.groups(self.estimator)
        squares = [replace(group, gradients=group.gradients.square()) for group in groups]
        check_finite_groups(
            seen.values(), squares
        )  # before aggregating: solvers fail on NaN in ways of their own

        def aggregate(jacobian: Jacobian) -> Tensor:
            plain = jacobian.rows.sum(0)
            if self.strength == 0:
                return plain
            return interpolate(plain, self.aggregate(jacobian.rows), self.strength)

        with seen.team.one_generator():  # aggregators may draw
            gradients = combine(groups, aggregate)
        return separate_step(seen, groups, gradients)


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
    return at_unit_length(_torchjd("UPGrad"))


def mgda() -> Aggregate:
    """MGDA (Desideri 2012), the shortest convex combination."""
    return _torchjd("MGDA")


def pcgrad() -> Aggregate:
    """PCGrad (Yu et al., arXiv 2001.06782); projects in an order drawn from the global generator."""
    return _torchjd("PCGrad")


def cagrad(c: float = 0.5) -> Aggregate:
    """CAGrad (Liu et al., arXiv 2110.14048), within ``c`` >= 0 times the mean's length from the mean."""
    check_real(c=c)
    check_number("c", c, c >= 0, "must not be negative", "Use 0.5.")
    return at_unit_length(_torchjd("CAGrad", c=c))


def nash_mtl() -> Aggregate:
    """Nash-MTL (Navon et al., arXiv 2202.01017), started anew at every step, so that it carries no state."""
    _torchjd("NashMTL", n_tasks=2)  # a solver that is not installed is missed here, not at the first step

    def aggregate(rows: Float[Tensor, "S D"]) -> Float[Tensor, " D"]:
        if not bool((rows @ rows.T).any()):  # nothing to bargain about, where the solver would fail
            return torch.zeros_like(rows[0])
        with warnings.catch_warnings():
            for kind in (UserWarning, RuntimeWarning):  # of the solver: the form of the problem, opposed rows
                warnings.simplefilter("ignore", kind)
            return _torchjd("NashMTL", n_tasks=len(rows))(rows)

    return aggregate


def _torchjd(name: str, **settings: Any) -> Aggregate:
    """Make an aggregator of torchjd, which is imported when it is needed.

    Raises:
        UnsuitableError: torchjd or a solver of its is not installed.
    """
    try:
        from torchjd import aggregation

        made: Aggregate = getattr(aggregation, name)(**settings)
    except ImportError as error:
        rule, remedy = "needs torchjd with its solvers", "Run pip install 'bogc[peers]'."
        raise UnsuitableError("method", rule, error, remedy) from None
    return made


@dataclass(frozen=True)
class JacobianDescentSettings:
    """What the aggregators share, and CAGrad's constant."""

    strength: float = setting(1.0, "from the plain sum (0) to the aggregation (1)")
    c: float = setting(0.5, "how far CAGrad may go from the mean, in units of the mean's length")


AGGREGATORS: Final[dict[str, tuple[Callable[..., Aggregate], str]]] = {
    "upgrad": (upgrad, "arXiv 2406.16232"),
    "mgda": (mgda, "Desideri 2012"),
    "pcgrad": (pcgrad, "arXiv 2001.06782"),
    "cagrad": (cagrad, "arXiv 2110.14048"),
    "nash-mtl": (nash_mtl, "arXiv 2202.01017"),
}
"""Name -> what makes the aggregator, and its paper."""


def _register(name: str, make: Callable[..., Aggregate], paper: str) -> None:
    def build(job: Job) -> Balancer:
        aggregate = make(job.settings.c) if make is cagrad else make()
        return JacobianDescent(job.model.partition(), aggregate, job.settings.strength)

    method(
        name,
        summary=f"{name} on each encoder's gradients, through torchjd",
        paper=paper,
        needs="all losses; a solver on the CPU" if name in ("cagrad", "nash-mtl") else "all losses",
        passes="M + 1",
        settings=JacobianDescentSettings,
        table="jacobian_descent",
    )(build)


for _name, (_make, _paper) in AGGREGATORS.items():
    _register(_name, _make, _paper)
