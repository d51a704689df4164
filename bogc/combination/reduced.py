"""Dempster's rule on opinions: focal sets are the singletons and the frame.

The rule is closed on them. For two sources, with Z the sum of everything below,

    b_k = (b1_k b2_k + b1_k u2 + u1 b2_k) / Z,    u = u1 u2 / Z,    Z = 1 - C,

and in evidence, dividing by u, 1 + e_k/W = prod_m (1 + e_mk/W). Every term is positive: nothing is
subtracted, so float32 keeps seven digits where 1 - C has none left, and Z is a sum, never 1 - C.
"""

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import Evidence, Opinion
from bogc.checks import check_finite, check_values
from bogc.combination.sources import RULES, Pair, Rule, check_evidences, check_opinions
from bogc.errors import TotalConflictError


def dempster_pair(first: Pair, second: Pair) -> Pair:
    """Combine (b1, u1) with (b2, u2); NaN at total conflict. Pure, unchecked, never waits for the device.

    Everything is divided by the largest of b1_k b2_k, u1 and u2, which is within a factor of K + 2 of Z:
    where nearly dogmatic sources disagree, u1 u2 alone would underflow.
    """
    (b1, u1), (b2, u2) = first, second
    both = b1 * b2
    unit = torch.maximum(torch.maximum(u1, u2), both.amax(-1))
    belief = both / unit.unsqueeze(-1) + b1 * (u2 / unit).unsqueeze(-1) + (u1 / unit).unsqueeze(-1) * b2
    uncertainty = torch.maximum(u1, u2) * (torch.minimum(u1, u2) / unit)
    total = belief.sum(-1) + uncertainty
    return belief / total.unsqueeze(-1), uncertainty / total


def evidence_pair(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """E + e + E e / W, in a new tensor. Pure, unchecked, never waits for the device."""
    return torch.addcmul(first + second, first, second, value=1 / weight)


RULE: Final = Rule(evidence_pair, dempster_pair)
RULES.register("dempster")(RULE)


def combine(opinions: Sequence[Opinion]) -> Opinion:
    """Combine opinions [..., K] by Dempster's rule (Shafer 1976; reduced as in Han et al. 2021).

    Raises:
        TotalConflictError: Dogmatic sources share no hypothesis; names the first index.
        TypeMismatchError: A source is not an Opinion, for example an Evidence.
        ShapeError, DtypeError, DeviceError: The sources do not fit together.
    """
    check_opinions(opinions)
    fused = RULE.fold(opinions)
    check_conflict(fused.uncertainty + fused.belief.sum(-1))
    return fused


def combine_evidence(evidences: Sequence[Evidence]) -> Evidence:
    """The same rule on evidence: E <- E + e + E e / W, all terms positive.

    Raises:
        NonFiniteError: The product exceeds the largest float; combine opinions instead.
        TypeMismatchError, ShapeError, DtypeError, DeviceError: The sources do not fit together.
        ConfigError: The sources count in different prior weights.
    """
    weight = check_evidences(evidences)
    values = evidences[0].values
    for evidence in evidences[1:]:
        values = evidence_pair(values, evidence.values, weight)
    check_finite("fused evidence", values, "It overflows: use float64, or combine opinions, which cannot.")
    return Evidence.unchecked(values=values, prior_weight=weight)


def check_conflict(total: Float[Tensor, "*batch"]) -> None:
    """Raise TotalConflictError where the normalised total is NaN. Reads the device."""
    check_values(
        "opinions",
        "must share a possible hypothesis",
        total,
        ~total.isnan(),
        "Dempster's rule is undefined at total conflict: keep some uncertainty in each source.",
        TotalConflictError,
    )
