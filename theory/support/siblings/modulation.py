"""Checks of OGM-GE and CGGM: factors on the gradients of encoders."""

from fractions import Fraction as Q
from math import prod

import sympy
import torch

from bogc.methods.cggm import released_balance
from bogc.methods.ogm_ge import score_ratios, scores
from theory.registry import How, check
from theory.support.elementary import dot, largest, six, together, vectors

GRID = [Q(n, 7) for n in (-9, -4, 0, 2, 11)]


@check("6.1", how=How.NUMERICAL, tolerance=1e-12, code="bogc.methods.ogm_ge.score_ratios")
def ratios_of_two_modalities_multiply_to_one() -> float:
    """Ratios that bogc takes of logits, a sample without label left out; both multiply to one."""
    torch.manual_seed(1)
    logits, targets = torch.randn(2, 5, 3, dtype=torch.float64), torch.tensor([0, 2, -100, 1, 0])
    exponentials = logits.exp()
    own, other = [
        [float(e[y] / e.sum()) for e, y in together(part, targets) if y >= 0] for part in exponentials
    ]
    parts = {"u": logits[0], "v": logits[1]}
    code = score_ratios(scores(parts, targets)).tolist()
    silent = score_ratios(scores(parts, torch.full((5,), -100))) - 1  # no label, no lead
    ratios = [six.score_ratio(own, other), six.score_ratio(other, own)]
    return largest(
        abs(ratios[0] * ratios[1] - 1), *(abs(x - y) for x, y in together(ratios, code)), silent.abs()
    )


@check("6.2", how=How.SYMBOLIC)
def product_of_mean_ratios() -> float:
    """Mean of r times mean of 1/r, minus 1, is the sum of squares, for three positive symbols."""
    r = sympy.symbols("r1:4", positive=True)
    direct = sum(r) / 3 * sum(1 / x for x in r) / 3 - 1
    return float(sympy.cancel(direct - six.excess_of_mean_ratios(r)) != 0)


@check("6.3", how=How.EXHAUSTIVE, tolerance=1e-12, code="bogc.methods.ogm_ge.score_ratios")
def ratios_of_more_modalities() -> float:
    """On a grid: as bogc has them; above 1 with the mean; their product below 1 unless all agree."""
    values, wrong, worst = [Q(1, 9), Q(2, 5), Q(3, 4)], 0, 0.0
    for summed in (*vectors(values, 2), *vectors(values, 3), *vectors(values, 4)):
        ratios, M = [six.ratio_to_rest(m, summed) for m in range(len(summed))], len(summed)
        code = score_ratios(torch.tensor([float(s) for s in summed], dtype=torch.float64)).tolist()
        worst = largest(worst, *(abs(float(x) - y) for x, y in together(ratios, code)))
        wrong += sum((ratio > 1) != (M * s > sum(summed)) for ratio, s in together(ratios, summed))
        total = prod(ratios)
        wrong += (total > 1) or (total == 1) != (M == 2 or len(set(summed)) == 1)
    return wrong + worst


@check("6.4", how=How.SYMBOLIC)
def coefficient_by_exponentials() -> float:
    """Above 1 it is 2 / (1 + exp(2 alpha rho)); at and below 1 it is 1."""
    alpha = sympy.Symbol("alpha", positive=True)
    wrong = 0
    for rho in (Q(5, 4), Q(7, 4), Q(9, 2)):
        ratio = sympy.Rational(rho.numerator, rho.denominator)
        expected = 2 / (1 + sympy.exp(2 * alpha * ratio))
        wrong += sympy.simplify((six.coefficient(ratio, alpha) - expected).rewrite(sympy.exp)) != 0
    return wrong + sum(bool(six.coefficient(rho, alpha) != 1) for rho in (Q(1), Q(2, 3), Q(1, 9)))


@check("6.5", how=How.SYMBOLIC)
def jump_is_the_difference_of_the_limits() -> float:
    """Limit of the coefficient from the left minus that from the right."""
    alpha, eps = sympy.symbols("alpha epsilon", positive=True)
    left, right = (sympy.limit(six.coefficient(1 + s * eps, alpha), eps, 0, "+") for s in (-1, 1))
    return float(sympy.simplify((left - right).rewrite(sympy.exp) - six.jump(alpha)) != 0)


@check("6.5", how=How.NUMERICAL, tolerance=5e-4)
def jump_at_published_settings() -> float:
    """From 1 to .336 at alpha = .8 and to .900 at alpha = .1, as the text says."""
    return largest(*(abs(1 - six.jump(alpha) - k) for alpha, k in ((0.8, 0.336), (0.1, 0.900))))


@check("6.6", how=How.SYMBOLIC, tolerance=1e-6, code="bogc.methods.cggm.released_balance")
def balances_sum_to_all_but_one() -> float:
    """For 2 to 5 modalities: as bogc has them; the sum is M - 1; blind to a common factor, -1 included."""
    wrong, worst, c = 0, 0.0, sympy.Symbol("c", nonzero=True)
    for M in range(2, 6):
        gains = sympy.symbols(f"d1:{M + 1}")
        shares = [six.balance(m, gains) for m in range(M)]
        wrong += sympy.cancel(sum(shares) - M) != -1
        wrong += sympy.cancel(six.balance(0, [c * d for d in gains]) - shares[0]) != 0
        changes = [0.3 - 0.1 * m**2 + 0.5 * m for m in range(M)]
        code = released_balance(torch.tensor(changes, dtype=torch.float64)).tolist()
        worst = largest(worst, *(abs(six.balance(m, changes) - b) for m, b in enumerate(code)))
    return wrong + worst


@check("6.7", how=How.SYMBOLIC)
def balances_of_nearly_cancelling_gains() -> float:
    """B of (delta + eps, -delta), with its limits -oo and oo; (.3, -.2) gives (-2, 3)."""
    delta, eps = sympy.symbols("delta epsilon", positive=True)
    shares = [six.balance(m, (delta + eps, -delta)) for m in (0, 1)]
    claimed = six.nearly_cancelling(delta, eps)
    wrong = 0 + any(sympy.cancel(a - b) != 0 for a, b in together(shares, claimed))
    wrong += [sympy.limit(b, eps, 0, "+") for b in claimed] != [-sympy.oo, sympy.oo]
    return wrong + bool(six.nearly_cancelling(Q(2, 10), Q(1, 10)) != [-2, 3])


@check("6.8", how=How.EXHAUSTIVE)
def guarded_balances_stay_in_range() -> float:
    """On a grid with zero, negative, cancelling gains: in [0, 1], sum M - 1, equal when nothing improves."""
    wrong, floor = 0, Q(3, 10)
    for gains in (*vectors(GRID, 2), *vectors(GRID, 3)):
        M, up = len(gains), [d if d > 0 else Q(0) for d in gains]
        shares = [six.guarded(m, gains, floor) for m in range(M)]
        wrong += sum(shares) != M - 1 or not all(0 <= b <= 1 for b in shares)
        wrong += sum(up) == 0 and shares != [Q(M - 1, M)] * M
        if min(gains) >= 0 and sum(gains) > 0:  # distance from CGGM's own B
            for m, b in enumerate(shares):
                own = 1 - gains[m] / sum(gains)
                wrong += b - own != floor / (sum(up) + floor) * (gains[m] / sum(gains) - Q(1, M))
    return wrong


@check("6.9", how=How.RATIONAL)
def direction_loss_is_a_sum_of_squares() -> float:
    """(1/2M) sum |B| |sgn(B) u - v|^2 over rational unit vectors u of the fusion and v of the modalities."""
    unit = [(Q(3, 5), Q(4, 5)), (Q(-5, 13), Q(12, 13)), (Q(8, 17), Q(-15, 17))]
    balances, wrong = (Q(-2, 3), Q(11, 6), Q(5, 6)), Q(0)
    for u in unit:
        squares = Q(0)
        for b, v in together(balances, unit):
            gap = [(1 if b > 0 else -1) * x - y for x, y in together(u, v)]
            squares += abs(b) * dot(gap, gap)
        wrong += abs(six.direction_loss(balances, [dot(u, v) for v in unit]) - squares / 6)
    return float(wrong)
