"""Checks of chapter 4, first part: the rule on the power set and on opinions.

Formulas are looked up in the chapter when a check runs, so that the mutation run reaches them. References are
the intersections of random subsets in ``theory.support.powerset``, which know nothing of the formulas.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement, product
from types import ModuleType
from typing import Any

import torch

from bogc.belief import MassFunction, Opinion
from bogc.belief.measures import belief, commonality, conflict, pignistic_probability, plausibility
from bogc.belief.zeta import superset_difference, superset_sum
from bogc.combination import dempster, reduced
from bogc.errors import TotalConflictError
from theory.chapters import FOLDER, load
from theory.registry import How, check
from theory.support.exact import largest
from theory.support.powerset import fuse, intersect, listed, mass_of, masses, named, opinions, subsets

UNEVEN = [Fraction(n, 31) for n in (0, 5, 3, 7, 2, 0, 3, 11)]  # mass functions on three hypotheses
SKEWED = [Fraction(n, 29) for n in (0, 2, 9, 0, 7, 5, 2, 4)]
THIRD = [Fraction(n, 37) for n in (0, 6, 1, 4, 3, 8, 5, 10)]


def chapter() -> ModuleType:
    """Return the chapter's module, with its formulas as they are now."""
    return load(FOLDER / "04_dempster.py")


def double(values: Sequence[Any]) -> torch.Tensor:
    """Tensor of float64."""
    return torch.tensor([float(x) for x in values], dtype=torch.float64)


def bogc_opinion(belief: Sequence[Any], uncertainty: Any) -> Opinion:
    """Build an opinion in bogc."""
    share = double([1 / len(belief)] * len(belief))
    return Opinion(double(belief), double([uncertainty])[0], share)


def mass_pairs() -> Iterator[tuple[list[Fraction], list[Fraction], tuple[Any, Fraction]]]:
    """All pairs of coarse mass functions for K = 2, a generic pair for K = 3, and what they give together."""
    pairs = [*product(masses(2, 3), repeat=2), (UNEVEN, SKEWED)]
    for first, second in pairs:
        found = fuse([named(first), named(second)])
        if found:
            yield first, second, found


@check("4.1", "4.2", how=How.EXHAUSTIVE)
def rule_on_small_frames() -> float:
    """Conflict and fused masses of every pair of coarse mass functions."""
    error = 0.0
    for first, second, (joint, lost) in mass_pairs():
        size = len(first).bit_length() - 1
        error = max(error, abs(float(chapter().conflict(first, second) - lost)))
        error = max(error, largest(chapter().dempster(first, second), listed(joint, size)))
    return error


@check("4.1", "4.2", how=How.NUMERICAL, tolerance=1e-15, code="bogc.combination.dempster.combine")
def code_follows_the_rule() -> float:
    """Conjunction and combination in bogc, which go through commonalities, against intersections."""
    joint = intersect([named(UNEVEN), named(SKEWED), named(SKEWED)])
    sources = [MassFunction(double(m)) for m in (UNEVEN, SKEWED, SKEWED)]
    found, _ = fuse([named(UNEVEN), named(SKEWED), named(SKEWED)]) or ({}, 0)
    error = largest(dempster.conjunction(sources).tolist(), listed(joint, 3))
    return max(error, largest(dempster.combine(sources).values.tolist(), listed(found, 3)))


@check("4.2", how=How.RATIONAL)
def rule_is_commutative_and_associative() -> float:
    """Three generic mass functions in both orders and groupings; the vacuous one changes nothing."""
    rule = chapter().dempster
    vacuous = [*[Fraction(0)] * 7, Fraction(1)]
    grouped = largest(rule(rule(UNEVEN, SKEWED), THIRD), rule(UNEVEN, rule(SKEWED, THIRD)))
    swapped = largest(rule(UNEVEN, THIRD), rule(THIRD, UNEVEN))
    return max(grouped, swapped, largest(rule(UNEVEN, vacuous), UNEVEN))


@check("4.3", "4.4", how=How.EXHAUSTIVE)
def zeta_and_its_inverse() -> float:
    """On every basis vector, which by linearity is every function, for K = 2, 3 and 4."""
    error = 0.0
    for size in (2, 3, 4):
        sets = subsets(size)
        for unit in sets:
            vector = [int(s == unit) for s in sets]
            zeta = chapter().commonality(vector)
            error = max(error, largest(zeta, [int(s <= unit) for s in sets]))
            error = max(error, largest(chapter().moebius(zeta), vector))
    return error


@check("4.3", "4.4", how=How.EXHAUSTIVE, code="bogc.belief.zeta.superset_sum")
def code_transforms() -> float:
    """The transforms in bogc on every basis vector for K = 2, 3 and 4."""
    error = 0.0
    for size in (2, 3, 4):
        sets = subsets(size)
        identity = torch.eye(len(sets), dtype=torch.float64)
        inclusion = torch.tensor([[float(s <= unit) for s in sets] for unit in sets], dtype=torch.float64)
        error = max(error, float((superset_sum(identity) - inclusion).abs().max()))
        error = max(error, float((superset_difference(inclusion) - identity).abs().max()))
    return error


@check("4.5", how=How.EXHAUSTIVE, code="bogc.belief.measures.commonality")
def commonalities_multiply() -> float:
    """Superset sums of the fused masses against the product, and bogc's commonality of one source."""
    error = largest(commonality(MassFunction(double(UNEVEN))).tolist(), double(supersets(UNEVEN)).tolist())
    error = 0.0 if error < 1e-15 else error
    for first, second, (joint, lost) in mass_pairs():
        fused = supersets(listed(joint, len(first).bit_length() - 1))
        found = chapter().fused_commonality(supersets(first), supersets(second), lost)
        error = max(error, largest(found[1:], fused[1:]))
    return error


def supersets(values: Sequence[Any]) -> list[Any]:
    """Sum of the masses of all supersets of each subset."""
    sets = subsets(len(values).bit_length() - 1)
    return [sum(v for other, v in zip(sets, values, strict=True) if subset <= other) for subset in sets]


def generic_masses() -> Iterator[list[Fraction]]:
    """On two to four hypotheses; the last has mass on the empty set, before conflict is conditioned away."""
    for size in (2, 3, 4):
        values = [0, *range(3, 2**size + 2)]
        yield UNEVEN if size == 3 else [Fraction(n, sum(values)) for n in values]
    yield [Fraction(1, 9), *(Fraction(8, 9) * m for m in UNEVEN[1:])]


@check("4.6", "4.7", "4.8", how=How.RATIONAL)
def readings_of_a_mass_function() -> float:
    """Inside, meeting, shared out: on frozensets, for generic mass functions."""
    error = 0.0
    for mass in generic_masses():
        (within, meeting, shared), indices = readings(mass), range(len(mass))
        error = max(error, largest([chapter().belief(mass, a) for a in indices], within))
        error = max(error, largest([chapter().pignistic(mass, k) for k in range(len(shared))], shared))
        if not mass[0]:
            error = max(error, largest([chapter().plausibility(mass, a) for a in indices], meeting))
    return error


@check("4.6", "4.7", "4.8", how=How.NUMERICAL, tolerance=1e-15, code="bogc.belief.measures.belief")
def code_reads_a_mass_function() -> float:
    """Belief, plausibility and pignistic probability in bogc, of the same."""
    error = 0.0
    for values in generic_masses():
        mass = MassFunction.unchecked(values=double(values))
        found = (belief(mass), plausibility(mass), pignistic_probability(mass))
        error = max(error, *(largest(x.tolist(), y) for x, y in zip(found, readings(values), strict=True)))
    return error


def readings(values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Mass inside each subset, mass that meets it, and mass of each hypothesis when sets share equally."""
    mass = named(values)
    sets = subsets(len(values).bit_length() - 1)
    within = [sum(v for s, v in mass.items() if s and s <= a) for a in sets]
    meeting = [sum(v for s, v in mass.items() if s & a) for a in sets]
    shared = [sum(v / len(s) for s, v in mass.items() if k in s) for k in range(len(sets).bit_length() - 1)]
    return within, meeting, shared


def opinion_groups() -> Iterator[tuple[list[list[Fraction]], list[Fraction], dict[Any, Fraction], Fraction]]:
    """Groups of coarse opinions, and what they give together, unless in total conflict."""
    cases = ((2, 3, 3), (2, 2, 4), (3, 2, 2), (3, 1, 3), (4, 2, 2))
    for size, parts, sources in cases:
        for group in combinations_with_replacement(opinions(size, parts), sources):
            found = fuse([mass_of(b, u) for b, u in group])
            if found:
                yield [b for b, _ in group], [u for _, u in group], *found


@check("4.9", "4.10", how=How.EXHAUSTIVE)
def opinions_are_closed_under_the_rule() -> float:
    """2 to 4 sources on K = 2, 3 and 4: mass on singletons and frame only, there the reduced rule's."""
    error = 0.0
    for beliefs, uncertainties, joint, _ in opinion_groups():
        b, u = chapter().reduced(beliefs, uncertainties)
        if len(beliefs) == 2:
            pair, rest = chapter().positive(beliefs[0], uncertainties[0], beliefs[1], uncertainties[1])
            error = max(error, largest([*pair, rest], [*b, u]))
        expected = mass_of(b, u)
        error = max(error, *(abs(float(expected.get(s, 0) - joint.get(s, 0))) for s in {*expected, *joint}))
    return error


@check("4.9", "4.10", how=How.NUMERICAL, tolerance=1e-15, code="bogc.combination.reduced.combine")
def code_combines_opinions() -> float:
    """Three generic opinions in bogc against intersections."""
    b1, u1, b2, u2 = generic()
    joint, _ = fuse([mass_of(b1, u1), mass_of(b2, u2), mass_of(b2, u2)]) or ({}, 0)
    found = reduced.combine([bogc_opinion(b1, u1), bogc_opinion(b2, u2), bogc_opinion(b2, u2)])
    error = largest(found.belief.tolist(), [joint[frozenset([k])] for k in range(3)])
    return max(error, abs(float(found.uncertainty) - float(joint[frozenset(range(3))])))


def generic() -> tuple[list[Fraction], Fraction, list[Fraction], Fraction]:
    """Two opinions on three hypotheses without any coincidence."""
    first = [Fraction(n, 23) for n in (7, 3, 11)]
    second = [Fraction(n, 29) for n in (5, 13, 4)]
    return first, 1 - sum(first, Fraction(0)), second, 1 - sum(second, Fraction(0))


@check("4.11", "4.12", how=How.EXHAUSTIVE, code="bogc.belief.measures.conflict")
def conflict_of_two_opinions() -> float:
    """C by intersection; Z = 1 - C and both bounds on u; bogc's conflict of a generic pair."""
    b1, u1, b2, u2 = generic()
    _, lost = fuse([mass_of(b1, u1), mass_of(b2, u2)]) or ({}, Fraction(0))
    found = float(conflict([bogc_opinion(b1, u1), bogc_opinion(b2, u2)]))
    error = 0.0 if abs(found - lost) < 1e-15 else 1.0
    for (x, ux), (y, uy) in product(opinions(3, 3), repeat=2):
        empty = intersect([mass_of(x, ux), mass_of(y, uy)]).get(frozenset(), 0)
        z = chapter().remaining(x, ux, y, uy)
        error = max(error, abs(float(chapter().opinion_conflict(x, y) - empty)), abs(float(1 - empty - z)))
        error = max(error, float(ux * uy > z * min(ux, uy)))
    return error


@check("4.13", how=How.EXHAUSTIVE, code="bogc.combination.reduced.combine")
def total_conflict() -> float:
    """Z by intersection; it vanishes just when a source excludes each hypothesis; bogc raises then."""
    error = 0.0
    for size, parts, sources in ((2, 2, 3), (3, 2, 2), (3, 1, 3)):
        for group in combinations_with_replacement(opinions(size, parts), sources):
            beliefs, uncertainties = [b for b, _ in group], [u for _, u in group]
            z = 1 - intersect([mass_of(b, u) for b, u in group]).get(frozenset(), 0)
            error = max(error, abs(float(chapter().possible(beliefs, uncertainties) - z)))
            excluded = all(any(b[k] + u == 0 for b, u in group) for k in range(size))
            error = max(
                error, float(excluded != (z == 0)), float(raises(group) != excluded) if parts == 1 else 0
            )
    return error


def raises(group: Sequence[tuple[list[Fraction], Fraction]]) -> bool:
    """Whether bogc refuses to combine."""
    try:
        reduced.combine([bogc_opinion(b, u) for b, u in group])
    except TotalConflictError:
        return True
    return False
