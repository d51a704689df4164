"""Cumulative fusion: the evidence of independent sources adds (Josang 2016).

Dempster's rule without its cross term b1 b2: with the pseudo-count map it is the Bayesian fusion of
conditionally independent sources, a sum of precisions where Dempster's rule takes their product.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from bogc.belief import Opinion
from bogc.checks import check_values
from bogc.combination.sources import RULES, Pair, Rule, check_opinions


def cumulative_pair(first: Pair, second: Pair) -> Pair:
    """b = (b1 u2 + u1 b2) / Z, u = u1 u2 / Z; NaN if both are dogmatic. Pure and unchecked.

    All over the larger of u1 and u2, so that no product of small u underflows.
    """
    (b1, u1), (b2, u2) = first, second
    larger = torch.maximum(u1, u2)
    belief = b1 * (u2 / larger).unsqueeze(-1) + (u1 / larger).unsqueeze(-1) * b2
    uncertainty = torch.minimum(u1, u2)
    total = belief.sum(-1) + uncertainty
    return belief / total.unsqueeze(-1), uncertainty / total


def evidence_pair(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """E + e: what independent sources counted."""
    return first + second


RULE: Final = Rule(evidence_pair, cumulative_pair)
RULES.register("cumulative")(RULE)


def combine(opinions: Sequence[Opinion]) -> Opinion:
    """Fuse opinions [..., K]; the base rate is the first source's.

    Raises:
        RangeError: Two sources are dogmatic, so that infinite evidence meets infinite evidence.
        TypeMismatchError, ShapeError, DtypeError, DeviceError: The sources do not fit together.
    """
    check_opinions(opinions)
    fused = RULE.fold(opinions)
    valid = ~fused.uncertainty.isnan()
    rule = "must not be 0 in two sources"
    check_values(
        "uncertainty", rule, fused.uncertainty, valid, "Keep some uncertainty in all sources but one."
    )
    return fused
