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
from bogc.combination.sources import RULES, Pair, Rule, check_opinions


def cautious_pair(first: Pair, second: Pair) -> Pair:
    """b_k = max(b1_k u2, b2_k u1) / Z, u = u1 u2 / Z, all over the larger of u1 and u2. Pure and unchecked.

    Then 1 <= Z <= 2 and u is the smaller one over Z, so no product of small u underflows. A dogmatic first
    or second comes out as it is, the limit of u to 0; two of them give NaN.
    """
    (b1, u1), (b2, u2) = first, second
    larger = torch.maximum(u1, u2)
    belief = torch.maximum(b1 * (u2 / larger).unsqueeze(-1), b2 * (u1 / larger).unsqueeze(-1))
    uncertainty = torch.minimum(u1, u2)
    total = belief.sum(-1) + uncertainty
    return belief / total.unsqueeze(-1), uncertainty / total


def evidence_pair(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """The larger of E and e, whatever W; in a new tensor."""
    return torch.maximum(first, second)


RULE: Final = Rule(evidence_pair, cautious_pair)
RULES.register("cautious")(RULE)


def combine(opinions: Sequence[Opinion]) -> Opinion:
    """Fuse opinions [..., K]; the base rate is the first source's.

    Raises:
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
