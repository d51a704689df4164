"""What the combination rules share: checks of the sources, and folding a rule for two over any number."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import MOST_EVIDENCE, Evidence, Opinion
from bogc.checks import check_alike, check_broadcastable, check_list, check_type
from bogc.errors import ConfigError, RangeError, ShapeError
from bogc.registry import Registry

Pair = tuple[Float[Tensor, "*#batch K"], Float[Tensor, "*#batch"]]

RULES: Final[Registry["Rule"]] = Registry("combination")


@dataclass(frozen=True)
class Rule:
    """An associative and commutative rule that combines two sources on the same hypotheses.

    Attributes:
        of_evidence: (e1, e2, W) -> e, [..., K]. Exact for any evidence that is finite.
        of_opinions: ((b1, u1), (b2, u2)) -> (b, u): the same for opinions without evidence, dogmatic ones
            too.
    """

    of_evidence: Callable[[Tensor, Tensor, float], Tensor]
    of_opinions: Callable[[Pair, Pair], Pair]

    def fuse(self, evidence: Evidence) -> Evidence:
        """Combine sources stacked on the first axis, [S, ..., K]; never waits for the device.

        From three sources on, and in half precision, evidence is kept below MOST_EVIDENCE and below the
        largest float, its shares being kept, so that products stay finite: u is 0 to rounding there.
        """
        dtype, weight = evidence.values.dtype, evidence.prior_weight
        most = min(MOST_EVIDENCE, torch.finfo(dtype).max)
        fused, *others = evidence.values.to(torch.promote_types(dtype, torch.float32)).unbind(0)
        for other in others:
            fused = self.of_evidence(fused, other, weight)
            if len(others) > 1 or most < MOST_EVIDENCE:
                fused = fused * (most / fused.sum(-1, keepdim=True)).clamp_max(1)
        return Evidence.unchecked(values=fused.to(dtype), prior_weight=weight)

    def fold(self, opinions: Sequence[Opinion]) -> Opinion:
        """Combine opinions that are known to fit; by their evidence, where all were made from evidence.

        The fused base rate is the first source's: the rules do not speak of it. Reads the device.
        """
        counted = [opinion.counted for opinion in opinions if opinion.counted is not None]
        if len(counted) == len(opinions) and len({evidence.prior_weight for evidence in counted}) == 1:
            values = torch.stack(torch.broadcast_tensors(*(evidence.values for evidence in counted)))
            stacked = Evidence.unchecked(values=values, prior_weight=counted[0].prior_weight)
            if _products_fit(stacked):
                return Opinion.from_evidence(self.fuse(stacked), opinions[0].base_rate)
        return fold_pairs(self.of_opinions, opinions)


def fold_pairs(rule: Callable[[Pair, Pair], Pair], opinions: Sequence[Opinion]) -> Opinion:
    """Apply an associative rule for two (belief, uncertainty) pairs from left to right; unchecked.

    In float64, whatever the dtype: a hypothesis that sources in a row have all but ruled out keeps the share
    that later sources can raise again, down to 1e-308 of the largest. So the order of sources does not
    matter.
    """
    dtype = opinions[0].belief.dtype
    pairs = ((opinion.belief.double(), opinion.uncertainty.double()) for opinion in opinions)
    belief, uncertainty = reduce(rule, pairs)
    return Opinion.unchecked(
        belief=belief.to(dtype), uncertainty=uncertainty.to(dtype), base_rate=opinions[0].base_rate
    )


def _products_fit(stacked: Evidence) -> bool:
    """Whether ``fuse`` need not cut the evidence [S, ..., K] of any rule; Dempster's has the largest."""
    values = stacked.values
    if torch.finfo(values.dtype).max < MOST_EVIDENCE**2:
        return False
    if len(values) < 3:
        return bool((values <= MOST_EVIDENCE).all())
    magnitude = (values.sum(-1) / stacked.prior_weight).log1p().sum(0)
    return bool((magnitude <= math.log(MOST_EVIDENCE / stacked.prior_weight)).all())


def check_sources(parameter: str, sources: Sequence[object]) -> None:
    """Raise unless there is a list of something to combine."""
    check_list(parameter, sources)
    if len(sources) == 0:
        raise RangeError(
            parameter, "must hold at least one source", 0, "Start from the vacuous opinion instead."
        )


def check_opinions(opinions: Sequence[Opinion]) -> None:
    """Raise unless all are opinions on one frame, of one dtype and device, with shapes that broadcast."""
    check_sources("opinions", opinions)
    for index, opinion in enumerate(opinions):
        check_type(
            f"opinions[{index}]", opinion, Opinion, "Turn evidence into an opinion by its Dirichlet first."
        )
    check_alike("opinions", *(opinion.belief for opinion in opinions))
    check_same_axis("opinions", [opinion.belief for opinion in opinions])


def check_evidences(evidences: Sequence[Evidence]) -> float:
    """Raise unless all are evidence on one frame, in one prior weight, which is returned."""
    check_sources("evidences", evidences)
    for index, evidence in enumerate(evidences):
        check_type(f"evidences[{index}]", evidence, Evidence, "Opinions are combined by combine().")
    check_alike("evidences", *(evidence.values for evidence in evidences))
    check_same_axis("evidences", [evidence.values for evidence in evidences])
    weights = {evidence.prior_weight for evidence in evidences}
    if len(weights) > 1:
        raise ConfigError(
            "prior_weight", "must be the same for all sources", sorted(weights), "Convert to opinions."
        )
    return weights.pop()


def check_same_axis(parameter: str, values: Sequence[Tensor]) -> None:
    """Raise ShapeError unless the last axes are equal and the others broadcast."""
    sizes = [value.shape[-1] for value in values]
    if len(set(sizes)) > 1:
        raise ShapeError(
            parameter, "must share one frame on their last axis", sizes, "Refine to a common frame."
        )
    check_broadcastable(parameter, *values)
