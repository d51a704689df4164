"""Dempster's full rule on the power set, by commonalities.

q(A) = sum_{B >= A} m(B) turns the conjunction into a product, so M sources on K hypotheses cost
M K 2^K additions instead of M 4^K products. The way back subtracts, but 1 - C is the sum
of the masses that are left and never 1 minus C: masses carry an absolute error of some eps at any conflict.
Masses far below eps are noise; the reduced rule keeps them. Half precision is computed in float32. Only
ratios of commonalities count, so they are divided by the largest at each source: however many sources there
are, their product does not underflow.
"""

from collections.abc import Sequence
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import MassFunction
from bogc.belief.zeta import superset_difference_, superset_sum
from bogc.checks import check_alike, check_type, check_values
from bogc.combination.sources import check_same_axis, check_sources
from bogc.errors import TotalConflictError


def conjunction(masses: Sequence[MassFunction]) -> Float[Tensor, "*batch P"]:
    """Unnormalised conjunction (Smets): index 0, the empty set, holds the conflict C.

    Raises:
        TypeMismatchError, ShapeError, DtypeError, DeviceError, RangeError: The sources do not fit together.
    """
    check_masses(masses)
    product = reduce(torch.mul, map(_commonalities, masses))
    return _masses(product).to(masses[0].values.dtype)


def combine(masses: Sequence[MassFunction]) -> MassFunction:
    """Combine mass functions [..., 2**K] by Dempster's rule (Dempster 1967; Shafer 1976).

    Raises:
        TotalConflictError: 1 - C = 0; names the first index.
        TypeMismatchError, ShapeError, DtypeError, DeviceError, RangeError: The sources do not fit together.
    """
    check_masses(masses)
    joint = _masses(reduce(_rescaled_product, map(_commonalities, masses)))
    joint[..., 0] = 0
    total = joint.sum(-1, keepdim=True)
    check_values(
        "masses",
        "must share a possible subset (1 - C > 0)",
        total.squeeze(-1),
        total.squeeze(-1) > 0,
        "Dempster's rule is undefined at total conflict: discount the sources first.",
        TotalConflictError,
    )
    return MassFunction.unchecked(values=(joint / total).to(masses[0].values.dtype))


def _commonalities(mass: MassFunction) -> Float[Tensor, "*batch P"]:
    """Sums over supersets, in float32 at least: in bfloat16 the way back would leave nothing but rounding."""
    return superset_sum(mass.values.to(torch.promote_types(mass.values.dtype, torch.float32)))


def _rescaled_product(
    first: Float[Tensor, "*#batch P"], second: Float[Tensor, "*#batch P"]
) -> Float[Tensor, "*batch P"]:
    """Multiply, and divide by the largest commonality; the empty set's, always the largest, becomes 0."""
    product = first * second
    product[..., 0] = 0
    return product.div_(product.amax(-1, keepdim=True).clamp_min(torch.finfo(product.dtype).tiny))


def _masses(product: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
    """Go back from commonalities, in place; differences of sums may fall an ulp below zero, and are cut."""
    return superset_difference_(product).clamp_min_(0)


def check_masses(masses: Sequence[MassFunction]) -> None:
    """Raise unless all are mass functions on one frame, of one dtype and device, and shapes broadcast."""
    check_sources("masses", masses)
    for index, mass in enumerate(masses):
        check_type(f"masses[{index}]", mass, MassFunction, "Use MassFunction.from_opinion(opinion).")
    check_alike("masses", *(mass.values for mass in masses))
    check_same_axis("masses", [mass.values for mass in masses])
