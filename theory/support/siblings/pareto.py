"""Checks of MMPareto: the shortest vector between two gradients, and what the released code makes of it."""

from fractions import Fraction as Q
from itertools import product
from typing import Any

from theory.registry import How, check
from theory.support.elementary import dot, largest, norm, six, together, vectors

LEFT, RIGHT = vectors([Q(-3, 2), Q(0), Q(1, 3), Q(5, 2)], 2), vectors([Q(-7, 3), Q(1, 5)], 2)
PAIRS = [(a, b) for a, b in product(LEFT, RIGHT) if a != b]


@check("6.16", how=How.EXHAUSTIVE)
def min_norm_weight_is_the_best() -> float:
    """Vertex of the parabola through three exact norms, clipped; no weight of a grid does better."""
    wrong = 0
    for a, b in PAIRS:
        q0, q1, q2 = (_length(a, b, t) for t in (Q(0), Q(1, 2), Q(1)))
        vertex = (3 * q0 - 4 * q1 + q2) / (4 * (q0 - 2 * q1 + q2))
        weight = six.min_norm_weight(a, b)
        wrong += weight != sorted((Q(0), vertex, Q(1)))[1]
        wrong += any(_length(a, b, Q(n, 8)) < _length(a, b, weight) for n in range(9))
    return wrong


@check("6.17", how=How.EXHAUSTIVE)
def min_norm_direction_descends_for_both() -> float:
    """Gaps <d, g> - |d|^2: as claimed for any weight, and none negative at the best one."""
    wrong = 0
    for (a, b), best in product(PAIRS, (False, True)):
        weight = six.min_norm_weight(a, b) if best else Q(2, 7)
        d = [weight * x + (1 - weight) * y for x, y in together(a, b)]
        gaps = [dot(d, g) - dot(d, d) for g in (a, b)]
        wrong += six.first_order_gaps(a, b, weight) != gaps or (best and min(gaps) < 0)
        wrong += best and 0 < weight < 1 and gaps != [0, 0]
    return wrong


@check("6.18", how=How.EXHAUSTIVE)
def released_sum_by_cases() -> float:
    """The plain sum for a positive cosine, else twice the shortest vector; neither loss can rise."""
    wrong = 0
    for a, b in PAIRS:
        h = six.released_sum(a, b)
        weight = sorted(
            (Q(0), (dot(b, b) - dot(a, b)) / _length(a, tuple(-y for y in b), Q(1, 2)) / 4, Q(1))
        )[1]
        shortest = [2 * (weight * x + (1 - weight) * y) for x, y in together(a, b)]
        wrong += h != ([x + y for x, y in together(a, b)] if dot(a, b) > 0 else shortest)
        wrong += min(dot(h, a), dot(h, b)) < 0
    return wrong


@check("6.19", how=How.PROPERTY, tolerance=1e-12)
def lengthened_whole_has_the_length_of_the_sum() -> float:
    """As one tensor: 1.5 |a + b| along h, unless h = 0; a tensor longer than the sum is just scaled."""
    worst = 0.0
    for a, b in PAIRS:
        h, total = six.released_sum(a, b), [x + y for x, y in together(a, b)]
        if any(h):
            g = six.lengthened(h, total)
            worst = largest(worst, abs(norm(g) - 1.5 * norm(total)), abs(g[0] * h[1] - g[1] * h[0]))
    kept = six.lengthened([Q(3), Q(-4)], [Q(1), Q(2)])
    return largest(worst, abs(kept[0] - 4.5), abs(kept[1] + 6))


@check("6.20", how=How.NUMERICAL, tolerance=1e-12)
def lengthening_tensor_by_tensor_can_ascend() -> float:
    """Of (2, -1) and (-5, 9) the sum is (260, 182)/149, lengthened (4.5, 12), whose product with a is -3."""
    a, b, h = (Q(2), Q(-1)), (Q(-5), Q(9)), [Q(260, 149), Q(182, 149)]
    g = [Q(3, 2) * max(abs(t), abs(x + y)) * (1 if t > 0 else -1) for t, x, y in together(h, a, b)]
    wrong = six.released_sum(a, b) != h or g != [Q(9, 2), Q(12)] or dot(g, a) != -3
    return float(wrong + abs(six.first_order_change(a, b) + 3))


def _length(a: Any, b: Any, t: Q) -> Q:
    d = [t * x + (1 - t) * y for x, y in together(a, b)]
    return Q(dot(d, d))
