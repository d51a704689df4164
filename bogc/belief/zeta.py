"""Sums over the subsets or supersets of every subset, in K 2^K additions (Yates 1937; Kennes 1992)."""

import torch
from jaxtyping import Float
from torch import Tensor


def superset_sum(values: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
    """q(A) = sum over B containing A of m(B): the zeta transform that gives commonalities."""
    return _transform(values, source=1, target=0, sign=1)


def superset_difference(values: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
    """Inverse of superset_sum (Moebius). Cancellation leaves an absolute error of some eps times max |q|."""
    return _transform(values, source=1, target=0, sign=-1)


def superset_difference_(values: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
    """Write ``superset_difference`` over ``values``, which a transform or a product of them has made."""
    return _add_halves(values.movedim(-1, 0), source=1, target=0, sign=-1).movedim(0, -1)


def subset_sum(values: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
    """b(A) = sum over B within A of m(B), the empty set included."""
    return _transform(values, source=0, target=1, sign=1)


def _transform(values: Tensor, source: int, target: int, sign: int) -> Tensor:
    """Add one half of the subsets to the other, for each bit, in place on one copy.

    Subsets are outermost in memory there and in what is returned: every addition runs over whole batches.
    """
    turned = values.movedim(-1, 0)
    copy = torch.empty_like(turned, memory_format=torch.contiguous_format).copy_(turned)
    return _add_halves(copy, source, target, sign).movedim(0, -1)


def _add_halves(result: Float[Tensor, "P *batch"], source: int, target: int, sign: int) -> Tensor:
    subsets = len(result)
    for bit in range(subsets.bit_length() - 1):
        halves = result.view(subsets // 2 ** (bit + 1), 2, 2**bit, *result.shape[1:])
        halves[:, target].add_(halves[:, source], alpha=sign)
    return result
