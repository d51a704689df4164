"""MMPareto number by number: as its released training loop computes it, and as theory 6.16 states the weight.

``fused`` and ``own`` are the tensors of one encoder's gradient, of the fused and of its own unimodal loss.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def dot(left: Sequence[Array], right: Sequence[Array]) -> float:
    return math.fsum(
        x * y for a, b in zip(left, right, strict=True) for x, y in zip(a.flat, b.flat, strict=True)
    )


def released_weight(fused: Sequence[Array], own: Sequence[Array]) -> float:
    """Weight of the fused loss. The two-point solver stops .001 short of either end."""
    aa, ab, bb = dot(fused, fused), dot(fused, own), dot(own, own)
    if ab > 0:
        return 0.5
    if ab >= aa:
        return 0.999
    if ab >= bb:
        return 0.001
    return (bb - ab) / (aa + bb - 2 * ab)


def released_gradients(fused: Sequence[Array], own: Sequence[Array]) -> list[Array]:
    """Each tensor is stretched by itself; where both norms are zero the ratio is NaN and it stays zero."""
    weight = released_weight(fused, own)
    found = []
    for a, b in zip(fused, own, strict=True):
        mixed = 2 * weight * a + 2 * (1 - weight) * b
        total, length = math.sqrt(dot([a + b], [a + b])), math.sqrt(dot([mixed], [mixed]))
        stretch = total / length if length > 0 else (math.inf if total > 0 else math.nan)
        found.append(stretch * mixed * 1.5 if stretch > 1 else mixed * 1.5)
    return found


def shortest_weight(
    fused: Sequence[Array], own: Sequence[Array], rounds: int = 12, points: int = 41
) -> float:
    """Theory 6.16 by search: a grid over [0, 1], refined around its best point."""
    low, high = 0.0, 1.0
    for _ in range(rounds):
        grid = np.linspace(low, high, points)
        mixtures = [[g * a + (1 - g) * b for a, b in zip(fused, own, strict=True)] for g in grid]
        best = int(np.argmin([dot(mixture, mixture) for mixture in mixtures]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, points - 1)]
    return float((low + high) / 2)
