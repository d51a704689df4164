"""The cautious rule: sources may share evidence, and none of it counts twice (Denoeux 2008).

An opinion is the conjunction of one simple support for each hypothesis, of weight w_k = u / (b_k + u), or
1 / (1 + e_k/W). Where Dempster's rule multiplies the weights of the sources, the cautious rule takes the
smallest, which is the largest evidence: e_k = max_m e_mk. It is normalised here, as opinions are. A source
repeated changes nothing; the price is that agreement of independent sources is no evidence either.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from bogc.belief import Opinion
from bogc.checks import check_values
from bogc.combination.sources import RULES, Rule, Wide, check_opinions, together


def evidence_pair(first: Tensor, second: Tensor, weight: float, unit: Tensor) -> Tensor:
    """The larger of E and unit e, whatever W; in a new tensor."""
    return torch.maximum(first, unit * second)


def terms(both: Wide, first: Wide, second: Wide) -> Wide:
    """max(b1 u2, u1 b2), over u1 u2; NaN if both are dogmatic."""
    return together(torch.maximum, first, second)


RULE: Final = Rule(evidence_pair, terms)
RULES.register("cautious")(RULE)


def combine(opinions: Sequence[Opinion]) -> Opinion:
    """Fuse opinions [..., K] of one base rate: nobody has said what the rule makes of several.

    Raises:
        ConfigError: Base rates differ.
        RangeError: A source is dogmatic (u = 0): it has no weights to compare.
        TypeMismatchError, ShapeError, DtypeError, DeviceError: The sources do not fit together.
    """
    check_opinions(opinions)
    for index, opinion in enumerate(opinions):
        check_values(
            f"opinions[{index}].uncertainty",
            "must be positive",
            opinion.uncertainty,
            opinion.uncertainty > 0,
            "The cautious rule compares evidence, b / u: keep some uncertainty in each source.",
        )
    return RULE.fold(opinions)
