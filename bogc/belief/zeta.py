"""Sums over the subsets or supersets of every subset, in K 2^K additions (Yates 1937; Kennes 1992)."""

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
    """Add one half of the last axis to the other, for each bit, in place on one copy."""
    result = values.clone()
    for bit in range(int(values.shape[-1]).bit_length() - 1):
        halves = result.view(*values.shape[:-1], values.shape[-1] // 2 ** (bit + 1), 2, 2**bit)
        halves[..., target, :].add_(halves[..., source, :], alpha=sign)
    return result
