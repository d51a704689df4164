"""The Dirichlet distribution that evidence stands for."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief.evidence import Evidence, check_frame, check_prior_weight
from bogc.checks import (
    Unchecked,
    check_alike,
    check_broadcastable,
    check_finite,
    check_floating,
    check_type,
    check_values,
)
from bogc.errors import MassSumError, ShapeError


@dataclass(frozen=True, eq=False)
class DirichletBelief(Unchecked):
    """Dirichlet(alpha) over the probabilities of K hypotheses, alpha = e + W a (Josang 2016).

    Attributes:
        concentration: alpha, [..., K]; at least W a.
        prior_weight: W > 0.
        base_rate: a, [K] or [..., K], positive, summing to 1.
        counted: The evidence that alpha was made from, where it was: alpha - W a has lost evidence below W
            eps.

    Raises:
        RangeError, MassSumError, FrameError, NonFiniteError, ShapeError, DtypeError, DeviceError: A field
            breaks these rules.
    """

    concentration: Float[Tensor, "*batch K"]
    prior_weight: float
    base_rate: Float[Tensor, "*rate K"]
    counted: Evidence | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_floating("concentration", self.concentration)
        check_frame("concentration", self.concentration)
        check_prior_weight(self.prior_weight)
        check_finite("concentration", self.concentration)
        check_base_rate(self.base_rate, self.concentration)
        check_counted(self.counted, self.concentration)
        slack = self.concentration - self.prior_weight * self.base_rate
        tolerance = 8 * torch.finfo(slack.dtype).eps * self.concentration
        remedy = "Add the prior W a to the evidence, or use from_evidence."
        check_values("concentration", "must be at least W a", self.concentration, slack >= -tolerance, remedy)

    @classmethod
    def from_evidence(
        cls, evidence: Evidence, base_rate: Float[Tensor, "*rate K"] | None = None
    ) -> "DirichletBelief":
        """alpha = e + W a; a uniform if not given.

        Raises:
            TypeMismatchError: ``evidence`` is not an Evidence.
        """
        check_type(
            "evidence",
            evidence,
            Evidence,
            "Count it with an evidence map, or Evidence(values, prior_weight).",
        )
        if base_rate is None:
            base_rate = uniform_base_rate(evidence.values)
        else:
            check_base_rate(base_rate, evidence.values)
        alpha = evidence.values + evidence.prior_weight * base_rate
        return cls.unchecked(
            concentration=alpha, prior_weight=evidence.prior_weight, base_rate=base_rate, counted=evidence
        )

    def to_evidence(self) -> Evidence:
        """The evidence that was counted; else e = alpha - W a, exact to rounding of alpha."""
        if self.counted is not None:
            return self.counted
        values = (self.concentration - self.prior_weight * self.base_rate).clamp_min(0)
        return Evidence.unchecked(values=values, prior_weight=self.prior_weight)

    @property
    def strength(self) -> Float[Tensor, "*batch"]:
        """S = sum_k alpha_k = W + sum_k e_k; infinite above the largest float."""
        return self.concentration.sum(-1)

    @property
    def mean(self) -> Float[Tensor, "*batch K"]:
        """Expected probabilities alpha / S; the opinion's projected probability. Right where S overflows."""
        shares = self.concentration / self.concentration.amax(-1, keepdim=True)
        return shares / shares.sum(-1, keepdim=True)

    def to_pyro(self) -> Any:
        """Return the ``pyro.distributions.Dirichlet``."""
        from pyro.distributions import Dirichlet  # slow to import, and no step of training needs it

        return Dirichlet(self.concentration)


def uniform_base_rate(like: Float[Tensor, "*batch K"]) -> Float[Tensor, " K"]:
    """1/K for each hypothesis."""
    return like.new_full((like.shape[-1],), 1 / like.shape[-1])


def check_base_rate(base_rate: Tensor, like: Tensor) -> None:
    """Raise unless ``base_rate`` is positive, sums to 1 and fits ``like`` [..., K]."""
    check_floating("base_rate", base_rate)
    check_alike("base_rate", base_rate, like)
    check_broadcastable("base_rate", base_rate, like)
    fits = torch.broadcast_shapes(base_rate.shape, like.shape) == like.shape
    if base_rate.shape[-1:] != like.shape[-1:] or not fits:
        rule = f"must have shape [K] or [..., K] of {list(like.shape)}"
        raise ShapeError("base_rate", rule, list(base_rate.shape), "Give one share to each hypothesis.")
    check_values(
        "base_rate", "must be positive", base_rate, base_rate > 0, "Give each hypothesis some share."
    )
    total = base_rate.sum(-1)
    valid = (total - 1).abs() <= sum_tolerance(total)
    check_values("base_rate", "must sum to 1", total, valid, "Divide it by its sum.", MassSumError)


def check_counted(counted: object, like: Tensor) -> None:
    """Raise unless ``counted`` is None, or evidence of the shape and kind of ``like`` [..., K]."""
    if counted is None:
        return
    check_type("counted", counted, Evidence, "Leave it out; from_evidence fills it in.")
    values = counted.values  # type: ignore[attr-defined]
    check_alike("counted", values, like)
    if values.shape != like.shape:
        rule = f"must have shape {list(like.shape)}"
        raise ShapeError("counted", rule, list(values.shape), "Leave it out; from_evidence fills it in.")


def sum_tolerance(value: Tensor) -> float:
    """How far a sum of rounded shares may be from 1: the square root of eps, at most 1 %."""
    return min(math.sqrt(torch.finfo(value.dtype).eps), 1e-2)
