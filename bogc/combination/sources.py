"""What the combination rules share: checks of the sources, and folding a rule for two over any number."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, NamedTuple

import torch
from torch import Tensor

from bogc.belief import MOST_EVIDENCE, Evidence, Opinion
from bogc.checks import check_alike, check_broadcastable, check_list, check_type
from bogc.errors import ConfigError, RangeError, ShapeError
from bogc.registry import Registry

RULES: Final[Registry["Rule"]] = Registry("combination")
FEW: Final = 8
"""So many sources are fused in the dtype of a step: the products of more leave the range of float32."""
LEAST: Final = -(2.0**40)
"""The exponent of zero: below that of anything else."""


class Wide(NamedTuple):
    """mantissa 2^exponent, float64, the exponent apart and whole, so that no product under- or overflows."""

    mantissa: Tensor
    exponent: Tensor


def widen(values: Tensor, exponent: Tensor | float = 0.0) -> Wide:
    """values 2^exponent, with mantissas between a half and 1, or 0."""
    mantissa, own = torch.frexp(values.double())
    return Wide(mantissa, (own.double() + exponent).masked_fill(mantissa == 0, LEAST))


def product(first: Wide, second: Wide) -> Wide:
    """The product."""
    return widen(first.mantissa * second.mantissa, first.exponent + second.exponent)


def together(rule: Callable[..., Tensor], *numbers: Wide) -> Wide:
    """``rule`` of several numbers in the unit of the largest, for a rule that knows no unit."""
    top = reduce(torch.maximum, [number.exponent for number in numbers])
    return widen(rule(*(narrow(number, top) for number in numbers)), top)


def narrow(number: Wide, top: Tensor) -> Tensor:
    """The number over 2^top, which is no smaller; 0 below the least normal float.

    The power of two is made of its bits: ``torch.ldexp`` rounds it.
    """
    exponent = (number.exponent - top).clamp_min(-1023).long() + 1023
    return number.mantissa * (exponent << 52).view(torch.float64)


def halves(number: Wide) -> list[Wide]:
    """The first and the second half of a stack, and what is left over of an odd number."""
    half = len(number.mantissa) // 2
    parts = zip(*(values.split([half, half, len(values) - 2 * half]) for values in number), strict=True)
    return [Wide(*part) for part in parts]


def joined(first: Wide, second: Wide) -> Wide:
    """One stack of both."""
    return Wide(*(torch.cat(pair) for pair in zip(first, second, strict=True)))


@dataclass(frozen=True)
class Rule:
    """An associative and commutative rule that combines two sources on the same hypotheses, each by itself.

    With r = e/W = b/u, Dempster's rule is r1 r2 + r1 + r2, cumulative fusion r1 + r2.

    Attributes:
        of_evidence: (e1, e2, W, unit) -> e, [..., K], where e1 counts in ``unit`` W, [..., 1], and so does e.
        of_terms: (r1 r2, r1, r2) -> r, [..., K]: a rule that knows no unit, ``together`` for some of them.
        rates: (1 - u, u) of S stacked sources, float64 -> how much the base rate of each counts. None: base
            rates that differ are refused.
    """

    of_evidence: Callable[[Tensor, Tensor, float, Tensor], Tensor]
    of_terms: Callable[[Wide, Wide, Wide], Wide]
    rates: Callable[[Tensor, Tensor], Tensor] | None = None

    def fuse(self, evidence: Evidence) -> Evidence:
        """Combine sources stacked on the first axis, [S, ..., K], in any order; never waits for the device.

        For evidence as the maps count it, up to MOST_EVIDENCE. From three sources on, and in half precision,
        what is fused is kept below MOST_EVIDENCE and below the largest float, its shares being kept: u is 0
        to rounding there. A running ``unit`` keeps what a later source weighs beside what was cut.
        """
        dtype, weight = evidence.values.dtype, evidence.prior_weight
        most = min(MOST_EVIDENCE, torch.finfo(dtype).max)
        stacked = evidence.values.to(torch.promote_types(dtype, torch.float32))
        if len(stacked) > FEW:
            below = torch.full_like(stacked[..., :1], weight, dtype=torch.float64)
            belief, uncertainty = self.fold_ratios(stacked, below)
            values = weight * belief / uncertainty.clamp_min(weight / most)
            return Evidence.unchecked(values=values.to(dtype), prior_weight=weight)
        sources = stacked.unbind(0)
        fused, unit = sources[0], sources[0].new_ones(())
        for other in sources[1:]:
            fused = self.of_evidence(fused, other, weight, unit)
            if len(sources) > 2 or most < MOST_EVIDENCE:
                kept = (most / fused.sum(-1, keepdim=True)).clamp_max(1)
                fused, unit = fused * kept, unit * kept
        return Evidence.unchecked(values=fused.to(dtype), prior_weight=weight)

    def fold(self, opinions: Sequence[Opinion]) -> Opinion:
        """Combine opinions that are known to fit; by their evidence, where they were made from evidence.

        Reads the device.

        Raises:
            ConfigError: Base rates differ, and the rule does not say what becomes of them.
        """
        rate = self.base_rate(opinions)
        counted = [opinion.counted for opinion in opinions if opinion.counted is not None]
        if len(counted) == len(opinions) and len({evidence.prior_weight for evidence in counted}) == 1:
            values = torch.stack(torch.broadcast_tensors(*(evidence.values for evidence in counted)))
            stacked = Evidence.unchecked(values=values, prior_weight=counted[0].prior_weight)
            if _products_fit(stacked):
                return Opinion.from_evidence(self.fuse(stacked), rate)
        dtype = opinions[0].belief.dtype
        above, below = zip(*map(_ratio, opinions), strict=True)
        values = torch.stack(torch.broadcast_tensors(*above))
        weights = torch.stack([weight.expand(*values.shape[1:-1], 1) for weight in below])
        belief, uncertainty = self.fold_ratios(values, weights)
        return Opinion.unchecked(
            belief=belief.to(dtype), uncertainty=uncertainty.squeeze(-1).to(dtype), base_rate=rate
        )

    def fold_ratios(self, above: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """Combine S stacked ratios b : u or e : W, [S, ..., K] and [S, ..., 1], into b and u, float64.

        Numerators and denominators stay apart, with exponents of their own, until all sources are combined,
        two by two: however near 0 their u is, and however many they are, their order does not matter. NaN
        where everything is excluded.
        """
        values, weight = widen(above), widen(below)
        while len(values.mantissa) > 1:
            (first, second, rest), (u1, u2, left) = halves(values), halves(weight)
            fused = self.of_terms(product(first, second), product(first, u2), product(u1, second))
            values, weight = joined(fused, rest), joined(product(u1, u2), left)
        top = torch.maximum(values.exponent.amax(-1, keepdim=True), weight.exponent)
        belief, uncertainty = (narrow(number, top)[0] for number in (values, weight))
        total = belief.sum(-1, keepdim=True) + uncertainty
        return belief / total, uncertainty / total

    def base_rate(self, opinions: Sequence[Opinion]) -> Tensor:
        """The one base rate of all sources, or their mean weighted by ``rates``, [K] or [..., K]."""
        first, *others = (opinion.base_rate for opinion in opinions)
        if all(torch.equal(*torch.broadcast_tensors(first, other)) for other in others):
            return first
        if self.rates is None:
            rule, remedy = "must be the same for all sources", "Give all of them one base rate."
            raise ConfigError("base_rate", f"{rule} of this rule", "different ones", remedy)
        fields = ([o.belief.sum(-1), o.uncertainty, o.base_rate] for o in opinions)
        certainty, uncertainty, rates = (
            torch.stack(torch.broadcast_tensors(*(value.double() for value in values)))
            for values in zip(*fields, strict=True)
        )
        share = self.rates(certainty, uncertainty)
        share = torch.where(share.sum(0) > 0, share, 1.0).unsqueeze(-1)  # all vacuous: the plain mean
        return ((rates * share).sum(0) / share.sum(0)).to(first.dtype)


def _ratio(opinion: Opinion) -> tuple[Tensor, Tensor]:
    """e : W where there is evidence, else b : u."""
    if opinion.counted is None:
        return opinion.belief, opinion.uncertainty.unsqueeze(-1)
    values = opinion.counted.values
    return values, values.new_full((1,), opinion.counted.prior_weight, dtype=torch.float64)


def _products_fit(stacked: Evidence) -> bool:
    """Whether ``fuse`` need not cut the evidence [S, ..., K] of any rule; Dempster's has the largest."""
    values, weight = stacked.values, stacked.prior_weight
    if torch.finfo(values.dtype).max < MOST_EVIDENCE**2:
        return False
    if len(values) < 3:
        return bool((values <= MOST_EVIDENCE * min(weight, 1)).all())
    magnitude = (values.sum(-1) / weight).log1p().sum(0)
    return bool((magnitude <= math.log(MOST_EVIDENCE / weight)).all())


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
