"""Checks of chapter 5, the calibrated update; its formulas are in support/update_formulas.py."""
# ruff: noqa: F403, F405 - the formulas must be names of this module, so that their mutants are checked

from fractions import Fraction
from itertools import product

import sympy

from bogc.calibration import EqualWeights, FusedAgreement, NoConservatism
from bogc.posterior.conjugate import shrinkage
from theory.registry import How, check
from theory.support import chain_checks, update_checks
from theory.support import update_draws as draws
from theory.support import update_reference as ref
from theory.support.exact import checks_in
from theory.support.update_formulas import *
from theory.support.update_reference import BELIEFS, MEANS, OPINIONS, POSITIVE, gap

globals().update(checks_in(update_checks) | checks_in(chain_checks))

B, LOW, HIGH = Fraction(3, 7), Fraction(2, 3), Fraction(9, 7)


@check("5.1", "5.2", "5.3", how=How.RATIONAL, tolerance=1e-14, code="bogc.calibration.calibrate")
def calibrate_is_the_formula() -> float:
    """calibrate() on three opinions against the formulas fed by Dempster's rule in rationals."""
    kappa, weights = fused_certainty(3, ref.fuse(OPINIONS)[2]), relative_belief(BELIEFS)
    return gap(ref.bogc_numbers(MEANS, OPINIONS), [update(kappa, weights, MEANS), kappa, *weights])


@check("5.4", how=How.RATIONAL, tolerance=1e-14, code="bogc.calibration.calibrate_block")
def coefficients_multiply_batch_means() -> float:
    """What calibrate() makes of one batch mean at a time; bogc's whole chain against the chain by hand."""
    exact = gap(ref.bogc_responses(BELIEFS, OPINIONS), coefficients(ref.kappa(BELIEFS, POSITIVE), BELIEFS))
    means, noises = [0.4, -0.9, 1.3], [0.5, 0.2, 1.7]
    hand = ref.weighted(ref.from_noise(means, noises, [ref.PRIOR] * 3), means)
    return max(exact, gap(ref.bogc_chain([[m] for m in means], [[n] for n in noises]), [hand]))


@check("5.5", "5.6", how=How.EXHAUSTIVE)
def conservatism_stays_within_bounds() -> float:
    """27 splits of three beliefs stay inside and attain both ends; opposition of two is the least."""
    kappas, few = ref.all_kappas(BELIEFS), ref.all_kappas(BELIEFS[1:])
    alone = [[B if m == n else 0 for n in range(3)] for m in range(3)]
    lows, high = [conservatism_bounds(one)[0] for one in alone], conservatism_bounds(BELIEFS)[1]
    found = [*(ref.kappa(one, POSITIVE) for one in alone), max(kappas), min(few)]
    pair = sympy.symbols("b c")
    wrong = draws.differs(opposed_conservatism(*pair) - ref.kappa(pair, (1, 0)))
    attained = gap(found, [*lows, high, opposed_conservatism(*BELIEFS[1:])])
    turned = conservatism_bounds(BELIEFS[::-1])  # the most certain source stands first
    return max(
        wrong, attained, *(ref.outside(k, b) for k in kappas for b in (conservatism_bounds(BELIEFS), turned))
    )


@check("5.7", how=How.NUMERICAL, tolerance=1e-14, code="bogc.calibration.calibrate_block")
def one_source_is_shrunk_twice() -> float:
    """The whole chain on one source: b^2 by default, b without conservatism."""
    once = ref.bogc_chain([[1.3]], [[0.45]], conservatism=NoConservatism()) * ref.belief(0.45)
    return gap([ref.bogc_chain([[1.3]], [[0.45]]), once], [one_source(ref.belief(0.45), 1.3)] * 2)


@check("5.8", how=How.RATIONAL, tolerance=1e-14, code="bogc.calibration.calibrate")
def two_sources_in_closed_form() -> float:
    """Closed form against the rational chain and against calibrate()."""
    formula = two_sources(*BELIEFS[:2], ref.fuse(OPINIONS[:2])[3], *MEANS[:2])
    shrunk = [b * mean for b, mean in zip(BELIEFS[:2], MEANS[:2], strict=True)]
    hand = ref.weighted(ref.by_hand(BELIEFS[:2], POSITIVE[:2]), MEANS[:2])
    return max(abs(formula - hand), gap(ref.bogc_update(shrunk, OPINIONS[:2]).direction, [hand]))


@check("5.9", how=How.RATIONAL)
def equal_sources_without_conflict() -> float:
    """Two to four equal sources by the rational chain."""
    hand = [ref.by_hand([B] * m, [1] * m)[0] for m in (2, 3, 4)]
    return gap(hand, [equal_coefficient(B, m) for m in (2, 3, 4)])


@check("5.10", how=How.EXHAUSTIVE)
def coefficients_stay_within_bounds() -> float:
    """All splits of three beliefs stay inside; one source attains the lower end, vacuous others the upper."""
    attained = [ref.by_hand([B], [1])[0], ref.by_hand([B, 0, 0], POSITIVE)[0]]
    error = max(ref.outside(c, coefficient_bounds(b, 3)) for b, c in ref.by_belief(BELIEFS))
    return max(error, gap(attained, coefficient_bounds(B, 3)))


@check("5.11", how=How.EXHAUSTIVE)
def certainty_recovers_the_plain_sum() -> float:
    """Three beliefs of at least 1 - slack in every split stay inside; both ends are attained."""
    slack = Fraction(1, 6)
    beliefs = product((1 - slack, 1 - slack / 3), repeat=3)
    error = max(ref.outside(c, certain_bounds(slack, 3)) for bs in beliefs for _, c in ref.by_belief(bs))
    attained = [ref.by_hand([1 - slack], [1])[0], ref.by_hand([1, 1 - slack, 1 - slack], POSITIVE)[0]]
    return max(error, gap(attained, certain_bounds(slack, 3)))


@check("5.12", how=How.RATIONAL, tolerance=1e-14, code="bogc.calibration.calibrate")
def a_vacuous_source_lengthens() -> float:
    """A vacuous source beside one, two and three others in calibrate()."""
    before = [ref.bogc_update(MEANS[:m], OPINIONS[:m]).direction for m in (1, 2, 3)]
    after = [ref.bogc_update([*MEANS[:m], 0], [*OPINIONS[:m], (0, 0)]).direction for m in (1, 2, 3)]
    return gap(after, [x * float(vacuous_stretch(m)) for m, x in enumerate(before, start=1)])


@check("5.13", how=How.NUMERICAL, tolerance=1e-6, code="bogc.belief.DimensionsFrame")
def certain_dimensions_are_not_the_sum() -> float:
    """The whole chain in the frame of dimensions where nothing is uncertain."""
    shares = [[1 / n / sum(1 / k for k in line) for n in line] for line in ref.TABLE[1]]
    expected = [certain_dimensions([b[d] for b in shares], ref.columns()[d][0]) for d in range(2)]
    return gap(ref.bogc_certain_dimensions(*ref.TABLE), expected)


@check("5.14", how=How.PROPERTY, tolerance=1e-13, code="bogc.calibration.calibrate_block")
def rescaling_losses_and_permuting() -> float:
    """The whole chain with a BlockPrior: losses rescaled; then sources and dimensions reversed."""
    c = [ref.from_noise(means, noises, ref.pooled_priors()) for means, noises in ref.columns()]
    expected = [rescaled_update(c[d], [7.0, 0.03], ref.columns()[d][0]) for d in range(2)]
    return max(gap(ref.bogc_rescaled([7.0, 0.03], reverse), expected) for reverse in (False, True))


@check("5.15", how=How.NUMERICAL, tolerance=1e-14, code="bogc.calibration.PrecisionWeights")
def precision_weights_see_the_scale() -> float:
    """PrecisionWeights on the posteriors of rescaled losses."""
    expected = rescaled_precision_weights([1 / 0.3, 1 / 1.7, 1 / 0.6], [7.0, 0.4, 3.0])
    return gap(ref.bogc_precision_weights([0.3 * 7.0**2, 1.7 * 0.4**2, 0.6 * 3.0**2]), expected)


@check("5.16", how=How.SYMBOLIC, tolerance=1e-15, code="bogc.posterior.conjugate.shrinkage")
def belief_minimises_the_risk() -> float:
    """Expansion of the square on symbols; its minimiser is bogc's shrinkage()."""
    c, t, n = sympy.symbols("c t n")
    risk = draws.symbolic_risk(c, t, n)
    best = sympy.solve(sympy.diff(risk, c), c)[0].subs({t: sympy.Rational(3, 7), n: sympy.Rational(5, 2)})
    found = [shrinkage(ref.double(3 / 7), ref.double(5 / 2))]
    return max(draws.differs(risk - shrinkage_risk(c, t, n)), gap(found, [best]))


@check("5.17", "5.18", how=How.SYMBOLIC, tolerance=1e-14, code="bogc.calibration.EqualWeights")
def posterior_means_have_least_risk() -> float:
    """Risks on symbols: of b^2 over that of b, at most 5/4; of two sources; the least is in bogc's reach."""
    c, b, t = (sympy.symbols(f"{x}1:3", positive=True) for x in "cbt")
    risk = [[draws.symbolic_risk(v[m], t[m], t[m] / b[m] - t[m]) for m in range(2)] for v in (c, b)]
    ratio = draws.symbolic_risk(b[0] ** 2, t[0], t[0] / b[0] - t[0]) / risk[1][0]
    top = max(price_of_twice(Fraction(i, 8)) for i in range(9))
    found = ref.bogc_chain(
        [[1.3], [-0.4]], [[0.2], [0.9]], weights=EqualWeights(), conservatism=NoConservatism()
    )
    expected = [1.3 * ref.belief(0.2) - 0.4 * ref.belief(0.9), Fraction(5, 4)]
    wrong = draws.differs(ratio - price_of_twice(b[0]), sum(risk[0]) - sum(risk[1]) - excess_risk(c, b, t))
    return max(wrong, gap([*found, top], expected))


@check("5.19", "5.20", how=How.EXHAUSTIVE)
def expected_and_worst_inner_product() -> float:
    """Exact mean over signs that sources share; least value over all corners of the box of coefficients."""
    c, a, b = ((B, LOW), (HIGH, Fraction(2, 9))), Fraction(-5, 9), Fraction(3, 4)
    tables = [[[a, -b], [b, B], [B, -a]], [[-a, b], [-b, B], [a, b]], [[B, -B], [a, b], [-b, -a]]]
    expected = gap(
        [draws.shared_signs(c, t[:2]) for t in tables], [expected_alignment(c, t[:2]) for t in tables]
    )
    worst = gap([draws.box(t, LOW, HIGH) for t in tables], [worst_alignment(LOW, HIGH, t) for t in tables])
    return max(expected, worst)


@check("5.21", how=How.EXHAUSTIVE, code="bogc.calibration.calibrate")
def updates_that_go_uphill() -> float:
    """Sign of calibrate() over beliefs and gradients, and the worked example -138/55."""
    wrong = 0
    for b, c, g, h in product((B, LOW), (B, LOW, Fraction(9, 10)), (1, 3, 4), (-LOW / 2, -LOW)):
        down = ref.bogc_update([b * g, c * h], [(b, 0), (0, c)]).direction.item() > 0
        wrong += down == goes_uphill(b, c, g, h)
    return max(wrong, gap([two_sources(Fraction(1, 5), Fraction(9, 10), 0, 3, -2)], [Fraction(-138, 55)]))


@check("5.22", how=How.SYMBOLIC, tolerance=1e-13, code="bogc.calibration.calibrate")
def a_shared_minimum_repels() -> float:
    """Determinant on symbols; with coefficients of calibrate() the iteration leaves the minimum."""
    p, q, r, s, a, b = sympy.symbols("p q r s a b")
    wrong = draws.differs(draws.jacobian((p, q), (r, s), a, b).det() - determinant((p, q), (r, s), a, b))
    found = list(zip(*map(ref.bogc_coefficients, ([0.9, 0.1], [0.1, 0.9])), strict=True))
    linear = draws.jacobian(*found, 3, 2)
    stays = bool(draws.descend(linear, [0.01, -0.01], rate=0.05, steps=2000).norm() < 1)
    return max(wrong, stays, abs(float(linear.det()) - determinant(*found, 3, 2)))


@check("5.23", how=How.RATIONAL, tolerance=1e-14, code="bogc.posterior.normal_posterior")
def own_scale_is_a_covariance() -> float:
    """Both outcomes in rationals, and with the posterior means of bogc's empirical Bayes."""
    g, s = Fraction(3), Fraction(5, 4)
    kept = draws.expectation(lambda z: 1 - s**2 / (g + z * s) ** 2, 1)
    mean = draws.expectation(lambda z: (g + z * s) - s**2 / (g + z * s), 1)
    found = sum(ref.bogc_shrunk_by_itself(g + z * s, s**2) for z in (-1, 1)) / 2
    return max(abs(mean - kept * g - shrinkage_covariance(g, s)), gap([found], [mean]))


@check("5.24", how=How.RATIONAL, tolerance=1e-14, code="bogc.posterior.normal_posterior")
def a_resting_point_is_left() -> float:
    """A skewed draw of mean zero, its exact variance as noise: rationals, and bogc's empirical Bayes."""
    p, a, floor = Fraction(1, 5), Fraction(3), Fraction(1, 1000)
    outcomes, noise = ((p, a), (1 - p, -p * a / (1 - p))), p * a**2 / (1 - p)
    exact = sum(q * x * max(1 - noise / x**2, floor / (1 + floor)) for q, x in outcomes)
    found = sum(float(q) * ref.bogc_shrunk_by_itself(x, noise) for q, x in outcomes)
    return max(abs(exact - drift_at_rest(p, a, floor)), gap([found], [exact]))


@check("5.25", how=How.RATIONAL)
def the_other_half_is_unbiased() -> float:
    """Two independent halves of a batch, exactly; coefficients from the own half fail."""
    draw = {z: 3 + z * Fraction(5, 4) for z in (-1, 1)}
    c = {z: x**2 / (x**2 + 2) for z, x in draw.items()}
    crossed = draws.expectation(lambda y, z: cross_fitted(c[y], draw[y], c[z], draw[z]), 2)
    unbiased, own = (draws.expectation(f, 1) for f in (lambda z: 3 * c[z], lambda z: c[z] * draw[z]))
    return max(abs(crossed - unbiased), own == unbiased)


@check("5.26", how=How.NUMERICAL, tolerance=1e-8, code="bogc.calibration.Calibrator")
def belief_sees_its_own_draw() -> float:
    """Central differences of the calibrator's beliefs at a fifth step, all before it held."""
    slopes, arguments = ref.bogc_own_draw(1e-5)
    return gap(slopes, [own_draw_slope(*values) for values in arguments])


@check("5.27", how=How.EXHAUSTIVE)
def alignment_is_the_worst_case() -> float:
    """All corners of the coefficients in one dimension, where it is attained, and in two, a bound."""
    tables = (
        ((Fraction(5),), (Fraction(-2),), (LOW,)),
        ((Fraction(5), B), (-LOW, Fraction(3)), (Fraction(-2), LOW)),
    )
    bound = [alignment(LOW, HIGH, draws.dissimilarity(g)) * draws.squared_total(g) for g in tables]
    least = [draws.box(g, LOW, HIGH) for g in tables]
    return max(abs(least[0] - bound[0]), bound[1] - least[1])


@check("5.28", how=How.RATIONAL)
def one_step_on_a_parabola() -> float:
    """Exact mean over a two-point draw on L x^2 / 2, where every inequality is an equality."""
    x, slope, smooth = Fraction(3, 5), Fraction(33, 20), Fraction(11, 4)
    value = draws.expectation(lambda z: smooth * (x - LOW * B * (slope + z * HIGH)) ** 2 / 2, 1)
    moment = draws.expectation(lambda z: (B * (slope + z * HIGH)) ** 2, 1)
    return abs(value - step_bound(smooth * x**2 / 2, LOW, B, slope**2, smooth, moment))


@check("5.29", "5.30", how=How.RATIONAL)
def average_over_steps_and_best_rate() -> float:
    """Telescoped and minimised on symbols; and the bound holds over all 256 paths of four steps of SGD."""
    (mean, averaged), (least, chosen) = draws.telescoped(3), draws.best_rate()
    found, moment = draws.all_paths((4, -1), Fraction(4, 5), Fraction(6, 5), Fraction(1, 12), 4)
    bound = average_bound(Fraction(3, 2), Fraction(1, 12), Fraction(2, 3), 4, 3, moment)
    return max(draws.differs(average_bound(*averaged) - mean, rate_bound(*chosen) - least), found - bound, 0)


@check("5.31", "5.33", how=How.RATIONAL)
def variance_and_risk() -> float:
    """Exact variance over draws that share signs between sources, and risk over independent draws."""
    c = (B, LOW, HIGH)
    variance, covariance = draws.shared_variance(c, ((2, 0, 1), (1, -3, 0), (LOW, 1, 4)))
    risk = draws.squared_error(c, MEANS, BELIEFS)
    formulas = update_variance(c, covariance), total_risk(c, MEANS, [s**2 for s in BELIEFS])
    return gap((variance, risk), formulas)


@check("5.32", how=How.SYMBOLIC, tolerance=1e-14, code="bogc.calibration.PrecisionWeights")
def inverse_variance_is_best() -> float:
    """Lagrange's conditions of three sources; bogc's PrecisionWeights solve them."""
    best, least = draws.lagrange(BELIEFS)
    found = ref.bogc_precision_weights([1 / p for p in BELIEFS])
    return gap([*found, least], [*best, fused_variance(BELIEFS)])


@check("5.34", how=How.EXHAUSTIVE)
def when_fusion_beats_the_sum() -> float:
    """Mean squared errors from exact draws on a grid of gradients and deviations, and at the boundary."""
    grid = [
        *product((1, -2), (LOW, 3, -5), (B, 2), (LOW, Fraction(5, 2))),
        (1, Fraction(7, 2), 2, Fraction(3, 2)),
    ]
    return sum(
        draws.fusion_wins_exactly(*case) != fusion_wins(*case[:2], *(s**2 for s in case[2:])) for case in grid
    )


@check("5.35", "5.36", how=How.RATIONAL, tolerance=1e-14, code="bogc.calibration.FusedAgreement")
def agreement_in_closed_form() -> float:
    """Dempster's rule by enumeration, and bogc's FusedAgreement; then with opposed evidence 7/3 and 40."""
    pairs = [OPINIONS[:2], OPINIONS[1:], OPINIONS[::2], [(Fraction(7, 16), 0), (0, Fraction(40, 43))]]
    formula = [agreement(p[0] + p[1], p[0] - p[1], q[0] + q[1], q[0] - q[1]) for p, q in pairs]
    opposed = gap([ref.lean(pairs[3])], [opposed_agreement(Fraction(7, 3), 40, 3)])
    found = [ref.bogc_kappa(opinions, FusedAgreement()) for opinions in pairs]
    return max(opposed, gap(map(ref.lean, pairs), formula), gap(found, formula))
