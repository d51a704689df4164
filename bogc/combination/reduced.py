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
from bogc.combination.sources import RULES, Rule, Wide, check_evidences, check_opinions, together
from bogc.errors import TotalConflictError


def evidence_pair(first: Tensor, second: Tensor, weight: float, unit: Tensor) -> Tensor:
    """E + unit e + E e / W, in a new tensor. Pure, unchecked, never waits for the device."""
    return torch.addcmul(torch.addcmul(first, unit, second), first, second, value=1 / weight)


def terms(both: Wide, first: Wide, second: Wide) -> Wide:
    """b1 b2 + b1 u2 + u1 b2, over u1 u2: all of them positive."""
    return together(lambda both, first, second: both + first + second, both, first, second)


def confidence(certainty: Tensor, uncertainty: Tensor) -> Tensor:
    """1 - u: how much a base rate counts in belief constraint fusion (Josang 2016, 12.2)."""
    return certainty


RULE: Final = Rule(evidence_pair, terms, confidence)
RULES.register("dempster")(RULE)


def combine(opinions: Sequence[Opinion]) -> Opinion:
    """Combine opinions [..., K] by Dempster's rule (Shafer 1976; reduced as in Han et al. 2021).

    Base rates are those of belief constraint fusion: their mean, weighted by 1 - u (Josang 2016, 12.2).

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
        values = evidence_pair(values, evidence.values, weight, values.new_ones(()))
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
