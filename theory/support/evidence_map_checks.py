"""Checks of chapter 2, second part: relations to the literature, and what other maps break."""

from fractions import Fraction
from math import log

import sympy as sp

import theory.support.posterior_oracles as by
from bogc.belief import (
    DirichletBelief,
    EvidenceMap,
    Identity,
    LogPrecision,
    Opinion,
    PseudoCount,
    RelativePrecision,
    SignalToNoise,
)
from bogc.gradients import ONE_BLOCK, GradientMoments
from bogc.posterior import BlockPrior, GradientPosterior, GradientPrior, NormalRoute
from theory.registry import How, check
from theory.support.expectations import MEAN, VARIANCE, expectation
from theory.support.posterior_oracles import Formulas, differs, gap, tensor
from theory.support.pseudo_count_checks import W, block
from theory.support.training import learned

f = Formulas("02_evidence.py")
A, B = Fraction(3, 2), Fraction(4, 9)  # scales of the true gradient and of the noise
TAU2, NOISE = A**2 * VARIANCE, B**2 * VARIANCE
KEPT = TAU2 / (TAU2 + NOISE)


def pair(x: list[Fraction]) -> tuple[Fraction, Fraction]:
    """True gradient and batch gradient from two draws: centred, with variances TAU2 and NOISE."""
    g = A * (x[0] - MEAN)
    return g, g + B * (x[1] - MEAN)


def evidence_of(mapping: EvidenceMap, tau2: float, variances: tuple[float, ...]) -> list[float]:
    """Amounts that a map of bogc gives to posteriors of these variances around 0.8."""
    posterior = GradientPosterior(tensor(*[0.8 for _ in variances]), tensor(*variances))
    return mapping.amount(posterior, GradientPrior(tensor(0), tensor(tau2)), ONE_BLOCK).tolist()


@check("2.13", how=How.SYMBOLIC)
def best_factor_by_calculus() -> float:
    """Minimise E (gamma (g + noise) - g)^2 over gamma; equal to belief for tau^2 = g^2."""
    g, s, c = by.symbols("g s c")
    error = ((c - 1) * g) ** 2 + c**2 * s  # bias squared plus variance
    return differs((f.best_factor(g, s),), (sp.solve(error.diff(c), c)[0],))


@check("2.14", how=How.EXHAUSTIVE)
def belief_minimises_the_risk() -> float:
    """Mean squared error over all pairs of gradient and noise; its minimum is at KEPT and equals v."""
    factors = (KEPT, Fraction(1, 3), Fraction(1))
    wanted = [expectation(lambda x, c=c: (c * pair(x)[1] - pair(x)[0]) ** 2, 2) for c in factors]
    error = max(abs(f.risk(c, TAU2, NOISE) - e) for c, e in zip(factors, wanted, strict=True))
    c = sp.Symbol("c")
    best = sp.solve(f.risk(c, sp.Rational(TAU2), sp.Rational(NOISE)).diff(c), c)
    return max(error, best != [sp.Rational(KEPT)], f.risk(KEPT, TAU2, NOISE) != KEPT * NOISE)


@check("2.15", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.PseudoCount")
def evidence_is_the_gradient_snr() -> float:
    """Prior variance = squared mean of the law: PseudoCount against N W mean^2 / variance."""
    prior = GradientPrior(tensor(0), tensor(MEAN**2))
    n = 6
    posterior = GradientPosterior(tensor(0), tensor(1 / (1 / MEAN**2 + n / VARIANCE)))
    return gap((PseudoCount(W).amount(posterior, prior, ONE_BLOCK),), (f.from_snr(W, n, MEAN**2 / VARIANCE),))


@check("2.16", how=How.EXHAUSTIVE)
def noise_left_in_the_prior() -> float:
    """Prior variance = mean square of the batch gradient, over all outcomes; never below one half."""
    wrong = expectation(lambda x: pair(x)[1] ** 2, 2)
    never = min(f.trapped(t, NOISE) for t in (Fraction(0), TAU2 / 100, TAU2))
    return max(abs(f.trapped(TAU2, NOISE) - wrong / (wrong + NOISE)), abs(never - Fraction(1, 2)))


@check("2.16", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.BlockPrior")
def noise_is_subtracted() -> float:
    """The trap as a prior of bogc; BlockPrior on blocks of one dimension goes below one half."""
    raw = block()
    moments = GradientMoments.from_variance(raw.mean / 1.5, raw.variance, 8.0, 7.0)
    square, noise = moments.mean**2, moments.noise
    trap = GradientPrior(tensor(0), square)
    right = learned(BlockPrior(), moments, apart=True)
    wrong, kept = (1 - NormalRoute()(moments, prior).variance / prior.variance for prior in (trap, right))
    return max(gap(wrong, f.trapped(square - noise, noise)), wrong.min() < 0.5, kept.min() >= 0.5)


@check("2.17", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.RelativePrecision")
def relative_precision_is_blind() -> float:
    """Mean 1 always; 1 in each dimension at equal noise; the same when all precisions double."""
    precisions = (Fraction(5, 2), Fraction(7), Fraction(1, 3))
    values = f.relative(precisions)
    blind = max(
        abs(sum(values) / 3 - 1),
        *(abs(e - 1) for e in f.relative([Fraction(4, 7)] * 3)),
        *(abs(x - y) for x, y in zip(f.relative([2 * p for p in precisions]), values, strict=True)),
    )
    code = evidence_of(RelativePrecision(), 1.0, tuple(float(1 / p) for p in precisions))
    return max(float(blind), gap(code, values))


@check("2.18", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.LogPrecision")
def log_precision_is_not_additive() -> float:
    """LogPrecision at no data, two batches and their union: log 2, and an excess above log 2."""
    tau2, x, y = 1.3, 2.7, 4.1
    code = evidence_of(LogPrecision(), tau2, tuple(tau2 / (1 + z) for z in (0, x, y, x + y)))
    excess = code[1] + code[2] - code[3]
    errors = gap((*code, excess), (*(f.logarithmic(z) for z in (0, x, y, x + y)), f.log_excess(x, y)))
    return max(errors, abs(code[0] - log(2)), excess < log(2))


@check("2.19", "2.20", how=How.EXHAUSTIVE)
def signal_to_noise_in_expectation() -> float:
    """Average mu^2 / v, mu = KEPT * batch gradient, v = KEPT * NOISE: over both, and at fixed gradients."""
    v = KEPT * NOISE
    over_both = expectation(lambda x: (KEPT * pair(x)[1]) ** 2 / v, 2)
    errors = [over_both - f.mean_snr(TAU2, NOISE)]
    for g in (Fraction(0), Fraction(5, 3)):
        fixed = expectation(lambda x, g=g: (KEPT * (g + B * (x[0] - MEAN))) ** 2 / v, 1)
        errors.append(fixed - f.snr_at(g, KEPT, NOISE))
    return max(map(abs, errors))


@check("2.20", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.SignalToNoise")
def a_certain_zero_has_no_evidence() -> float:
    """SignalToNoise averaged over noise of +-B at gradient 1; and at mean 0, whatever the precision."""
    prior = GradientPrior(tensor(0), tensor(TAU2))
    ends = GradientPosterior(tensor(KEPT * (1 + B), KEPT * (1 - B)), tensor(KEPT * B**2, KEPT * B**2))
    mean = SignalToNoise().amount(ends, prior, ONE_BLOCK).mean()
    zero = GradientPosterior(tensor(0, 0), tensor(1e-12, 1))
    return max(
        gap((mean,), (f.snr_at(1, KEPT, B**2),)), *SignalToNoise().amount(zero, prior, ONE_BLOCK).tolist()
    )


@check("2.21", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.Identity")
def identity_depends_on_units() -> float:
    """Opinions after Identity at v = 1e-8, and with the loss times 1e4; the prior alone has evidence."""
    prior = GradientPrior(tensor(0), tensor(0.7))
    errors = []
    for v, factor in ((1e-8, 1.0), (1e-8, 1e4), (0.3, 2.5)):
        posterior = GradientPosterior(tensor(0.2), tensor(factor**2 * v))
        evidence = Identity(W)(posterior, prior)
        found = Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence)).uncertainty
        errors.append(gap(found, (f.identity_uncertainty(W, v, factor),)))
    alone = Identity(W).amount(GradientPosterior(prior.loc, prior.variance), prior, ONE_BLOCK)
    return max(*errors, abs(float(alone) - 1 / 0.7))
