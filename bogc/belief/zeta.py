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


def subset_sum(values: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
    """b(A) = sum over B within A of m(B), the empty set included."""
    return _transform(values, source=0, target=1, sign=1)


def _transform(values: Tensor, source: int, target: int, sign: int) -> Tensor:
    """Add one half of the subsets to the other, for each bit, in place on one copy.

    Subsets are outermost in memory there and in what is returned: every addition runs over whole batches.
    """
    result = values.movedim(-1, 0).clone(memory_format=torch.contiguous_format)
    subsets = len(result)
    for bit in range(subsets.bit_length() - 1):
        halves = result.view(subsets // 2 ** (bit + 1), 2, 2**bit, *result.shape[1:])
        halves[:, target].add_(halves[:, source], alpha=sign)
    return result.movedim(0, -1)
