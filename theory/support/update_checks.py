"""Checks of chapter 5, last part: the length of the update, and batch means in place of posterior means.

Formulas are looked up in the chapter when a check runs, so that the mutation run reaches them.
"""

from fractions import Fraction
from itertools import product
from types import ModuleType

from theory.chapters import FOLDER, load
from theory.registry import How, check
from theory.support import update_reference as ref
from theory.support.update_reference import BELIEFS, POSITIVE, PRIOR, gap

B = Fraction(3, 7)


def chapter() -> ModuleType:
    """Chapter 5 as it is when a check runs."""
    return load(FOLDER / "05_update.py")


def once_by_hand(beliefs, positive):
    """Coefficients of batch means: conservatism by enumeration and relative belief, each spelt out."""
    return [ref.kappa(beliefs, positive) * (b / sum(beliefs)) for b in beliefs]


@check("5.37", how=How.NUMERICAL, tolerance=1e-13, code="bogc.calibration.MatchPlainSum")
def matching_the_plain_sum() -> float:
    """MatchPlainSum on two blocks: its factor, its norm, and its blindness to a common factor."""
    direction, plain = [0.7, 0.3, -1.2], [-3.0, 2.0, 0.5]
    expected = [chapter().match_square(direction, plain) ** 0.5 * d for d in direction]
    found = [ref.bogc_matched([k * d for d in direction], plain) for k in (1, 10)]
    return max(*(gap(f, expected) for f in found), gap([found[0].norm()], [ref.double(plain).norm()]))


@check("5.38", how=How.NUMERICAL, tolerance=1e-6, code="bogc.calibration.MatchPlainSum")
def no_evidence_and_a_full_step() -> float:
    """calibrate() and MatchPlainSum at beliefs of 1e-7, and nothing at all where belief is zero."""
    ratios, means, length = [0.4, 0.9, 0.2], [1.3, -0.7, 2.1], (1.3**2 + 0.7**2 + 2.1**2) ** 0.5
    faint = [ref.bogc_faint(1e-7 * r, m) for r, m in zip(ratios, means, strict=True)]
    found = [ref.bogc_matched([k * x for x in faint], means) for k in (1, 0)]
    return max(gap(found[0], chapter().matched_limit(ratios, means, length)), float(found[1].norm()))


@check("5.39", how=How.RATIONAL, tolerance=1e-14, code="bogc.calibration.Pipeline")
def batch_means_are_weighted_once() -> float:
    """What calibrate() makes of one mean at a time; bogc's default against posterior means, unshrunk."""
    formula = chapter().coefficients_once(ref.kappa(BELIEFS, POSITIVE), BELIEFS)
    exact = gap(ref.bogc_responses([1, 1, 1], ref.OPINIONS), formula)
    means, noises = [0.4, -0.9, 1.3], [0.5, 0.2, 1.7]
    beliefs = [ref.belief(noise) for noise in noises]
    twice = ref.from_noise(means, noises, [PRIOR] * 3)
    hand = ref.weighted([c / b for c, b in zip(twice, beliefs, strict=True)], means)
    found = ref.bogc_chain([[m] for m in means], [[n] for n in noises], aggregated="batch-mean")
    return max(exact, gap(found, [hand]))


@check("5.40", how=How.EXHAUSTIVE)
def agreeing_sources_vouch_for_each_other() -> float:
    """One to four sources of one belief that all lean one way, by enumeration of the full rule."""
    found = [once_by_hand([B] * m, [1] * m)[0] for m in range(1, 5)]
    return gap(found, [chapter().equal_sources_once(B, m) for m in range(1, 5)])


@check("5.41", how=How.EXHAUSTIVE)
def first_order_bounds() -> float:
    """All splits of three beliefs stay inside; one source attains the lower end, vacuous others the upper."""
    bounds = chapter().bounds_once
    splits = [once_by_hand(BELIEFS, positive) for positive in product(ref.CHANCES, repeat=3)]
    error = max(ref.outside(c, bounds(b, 3)) for cs in splits for b, c in zip(BELIEFS, cs, strict=True))
    attained = [once_by_hand([B], [1])[0], once_by_hand([B, 0, 0], POSITIVE)[0]]
    return max(error, gap(attained, bounds(B, 3)))
