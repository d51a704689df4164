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
from bogc.combination.sources import RULES, Rule, Wide, check_opinions, together


def evidence_pair(first: Tensor, second: Tensor, weight: float, unit: Tensor) -> Tensor:
    """E + unit e: what independent sources counted."""
    return torch.addcmul(first, unit, second)


def terms(both: Wide, first: Wide, second: Wide) -> Wide:
    """b1 u2 + u1 b2, over u1 u2; NaN if both are dogmatic."""
    return together(torch.add, first, second)


def amounts(certainty: Tensor, uncertainty: Tensor) -> Tensor:
    """(1 - u) / u over the largest 1 / u, the evidence: how much a base rate counts (Josang 2016, 12.3)."""
    least = uncertainty.amin(0)
    return certainty * torch.where(uncertainty == least, 1.0, least / uncertainty)


RULE: Final = Rule(evidence_pair, terms, amounts)
RULES.register("cumulative")(RULE)


def combine(opinions: Sequence[Opinion]) -> Opinion:
    """Fuse opinions [..., K]; base rates count by the evidence of their source (Josang 2016, 12.3).

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
