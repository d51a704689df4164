"""Evidence: non-negative pseudo-counts for each hypothesis of a frame."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import Unchecked, check_finite, check_floating, check_number, check_real, check_values
from bogc.errors import FrameError, NegativeEvidenceError
from bogc.gradients.groups import sum_of

MOST_EVIDENCE: Final = 1e18
"""The most that evidence maps count: u is then 0 to rounding, and products of two fit into float32."""


@dataclass(frozen=True, eq=False)
class Evidence(Unchecked):
    """How much speaks for each of K hypotheses, counted in observations (Josang 2016).

    Attributes:
        values: e >= 0, [..., K], K >= 2.
        prior_weight: W > 0, the weight of knowing nothing, in the same unit. Josang: 2; evidential deep
            learning and TMC: K.

    Raises:
        NegativeEvidenceError, NonFiniteError, DtypeError, RangeError: A value breaks these rules.
        FrameError: K < 2: the only hypothesis of a one-element frame is the frame, so nothing is learnt.
    """

    values: Float[Tensor, "*batch K"]
    prior_weight: float

    def __post_init__(self) -> None:
        check_floating("evidence", self.values)
        check_frame("evidence", self.values)
        check_prior_weight(self.prior_weight)
        kind = torch.finfo(self.values.dtype)
        valid = kind.tiny <= self.prior_weight <= kind.max
        rule = f"must be a normal number of {self.values.dtype}"
        check_number("prior_weight", self.prior_weight, valid, rule, "Use 2, or K; or a wider dtype.")
        check_finite(
            "evidence", self.values, "Above 3e38 float32 overflows: use float64 or combine opinions."
        )
        positive = self.values >= 0
        remedy = "Pass it through a map into [0, inf), such as softplus."
        check_values("evidence", "must not be negative", self.values, positive, remedy, NegativeEvidenceError)

    @property
    def total(self) -> Float[Tensor, "*batch"]:
        """Sum over the hypotheses."""
        return sum_of(self.values, -1)

    @property
    def strength(self) -> Float[Tensor, "*batch"]:
        """S = W + sum_k e_k, that of the Dirichlet."""
        return self.total + self.prior_weight


def check_frame(parameter: str, value: Tensor) -> None:
    """Raise FrameError unless the last axis of ``value`` holds at least two hypotheses."""
    hypotheses = value.shape[-1] if value.ndim else 0
    if hypotheses < 2:
        raise FrameError(
            parameter,
            "needs a frame of at least 2 hypotheses on its last axis",
            hypotheses,
            "Name the alternative too: a simple support for 'reliable' has evidence (e, 0).",
        )


def check_prior_weight(prior_weight: float) -> None:
    """Raise RangeError unless W is positive and finite."""
    check_real(prior_weight=prior_weight)
    valid = 0 < prior_weight < float("inf")
    check_number("prior_weight", prior_weight, valid, "must be positive and finite", "Use 2, or K.")
