"""Dempster's rule from first principles, in exact arithmetic, and small frames to try it on exhaustively.

A source is a random subset of the frame: it says B with probability m(B). Sources are independent, and what
they say together is the intersection, given that it is not empty. Subsets are ``frozenset`` here, so that
nothing is shared with the bit indices of the formulas and of bogc.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache, reduce
from itertools import product
from math import prod
from typing import Any

Subset = frozenset[int]
Mass = Mapping[Subset, Any]


@cache
def subsets(hypotheses: int) -> tuple[Subset, ...]:
    """All subsets, in the order of bogc's index: bit k says whether hypothesis k is in."""
    chosen = product(*[(False, True)] * hypotheses)
    found = [frozenset(k for k, inside in enumerate(choice) if inside) for choice in chosen]
    return tuple(sorted(found, key=lambda subset: sum(2**k for k in subset)))


def mass_of(belief: Sequence[Any], uncertainty: Any) -> Mass:
    """Masses of an opinion, or anything proportional to them: evidence and W, say."""
    singletons = {frozenset([k]): b for k, b in enumerate(belief)}
    return singletons | {frozenset(range(len(belief))): uncertainty}


def intersect(masses: Sequence[Mass]) -> dict[Subset, Any]:
    """Weight of every intersection, the empty one too: all sources at once, a tuple of subsets at a time."""
    joint: dict[Subset, Any] = {}
    for choice in product(*(mass.items() for mass in masses)):
        common = reduce(frozenset.intersection, [subset for subset, _ in choice])
        joint[common] = joint.get(common, 0) + prod(weight for _, weight in choice)
    return joint


def fuse(masses: Sequence[Mass]) -> tuple[dict[Subset, Fraction], Fraction] | None:
    """Condition on a non-empty intersection; also return the conflict. None at total conflict."""
    joint = intersect(masses)
    total = sum(joint.values())
    empty = joint.pop(frozenset(), 0)
    if empty == total:
        return None
    return {s: Fraction(w) / (total - empty) for s, w in joint.items() if w}, Fraction(empty) / total


def listed(mass: Mass, hypotheses: int) -> list[Any]:
    """Masses in index order."""
    return [mass.get(subset, 0) for subset in subsets(hypotheses)]


def compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to share out ``total`` units."""
    if parts == 1:
        yield (total,)
        return
    for head in range(total + 1):
        for tail in compositions(total - head, parts - 1):
            yield (head, *tail)


def opinions(hypotheses: int, parts: int) -> list[tuple[list[Fraction], Fraction]]:
    """All opinions whose masses are multiples of 1 / parts."""
    shares = [[Fraction(n, parts) for n in c] for c in compositions(parts, hypotheses + 1)]
    return [(share[:-1], share[-1]) for share in shares]


def masses(hypotheses: int, parts: int) -> list[list[Fraction]]:
    """All mass functions on the power set whose masses are multiples of 1 / parts, in index order."""
    return [[Fraction(n, parts) for n in (0, *c)] for c in compositions(parts, 2**hypotheses - 1)]


def named(values: Sequence[Any]) -> Mass:
    """Inverse of ``listed``, without the zeros."""
    return {s: v for s, v in zip(subsets(len(values).bit_length() - 1), values, strict=True) if v}
