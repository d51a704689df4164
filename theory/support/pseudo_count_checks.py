"""Checks of chapter 2, first part: the pseudo-count map."""

from fractions import Fraction

import sympy as sp
import torch
from torch import Tensor

import theory.support.posterior_oracles as by
from bogc.belief import DimensionsFrame, DirichletBelief, Opinion, PseudoCount, ReliabilityFrame
from bogc.gradients import ONE_BLOCK, GradientMoments
from bogc.posterior import (
    BlockPrior,
    ConjugateNormal,
    FilteredRoute,
    FixedPrior,
    GradientPosterior,
    GradientPrior,
    NormalInverseGammaRoute,
    NormalRoute,
    PosteriorRoute,
    PriorPolicy,
)
from theory.registry import How, check
from theory.support.posterior_oracles import (
    PRIOR_MEAN,
    PRIOR_VARIANCE,
    SAMPLES,
    Formulas,
    differs,
    exact_moments,
    gap,
    observed,
    tensor,
)
from theory.support.training import learned

f = Formulas("02_evidence.py")
W = 3


def opinion(posterior: GradientPosterior, prior: GradientPrior, weight: float = W) -> Opinion:
    """Take a posterior through bogc to its opinion on the sign frame."""
    evidence = PseudoCount(weight)(posterior, prior)
    return Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))


def block() -> GradientMoments:
    """Moments of a block of three dimensions, eight samples."""
    return GradientMoments.from_variance(tensor(1.4, -0.6, 0.9), tensor(2.1, 0.8, 1.7), 8.0, 7.0)


def batch() -> tuple[Fraction, Fraction, Fraction]:
    """Count, mean and unbiased variance of SAMPLES."""
    n, mean, scatter = exact_moments(SAMPLES)
    return n, mean, scatter / (n - 1)


@check("2.1", "2.7", "2.8", "2.9", how=How.SYMBOLIC)
def pseudo_count_by_bayes() -> float:
    """Precision and mean from the derivatives of log prior plus log likelihood of three samples."""
    (m, t, s, mean), root, precision = by.normal_by_bayes(3)
    w = sp.Symbol("W", positive=True)
    e = f.pseudo_count(w, precision, 1 / t)
    u, b = f.uncertainty(w, e), f.belief(w, e)
    found = e, u, b, f.posterior_mean(u, m, b, mean)
    return differs(found, (f.counted(w, 3, t, s), 1 / (precision * t), t / (t + s / 3), root))


@check("2.1", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.PseudoCount")
def pseudo_count_agrees() -> float:
    """PseudoCount.amount after ConjugateNormal."""
    prior, moments = observed()
    n, _, s2 = batch()
    found = PseudoCount(W).amount(ConjugateNormal(prior)(moments), prior, ONE_BLOCK)
    return gap((found,), (f.counted(W, n, PRIOR_VARIANCE, s2),))


@check("2.2", how=How.RATIONAL, code="bogc.belief.PseudoCount")
def nothing_without_data() -> float:
    """A posterior that is the prior has evidence 0, and each sample by Bayes' rule adds the same amount."""
    prior, _ = observed()
    vacuous = float(PseudoCount(W).amount(GradientPosterior(prior.loc, prior.variance), prior, ONE_BLOCK))
    precision, errors = 1 / PRIOR_VARIANCE, []
    for n in range(4):
        e = W * (precision * PRIOR_VARIANCE - 1)
        errors.append(e - n * f.one_more_sample(W, PRIOR_VARIANCE, Fraction(7, 5)))
        precision += Fraction(5, 7)
    return max(vacuous, *map(abs, errors))


@check("2.3", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.PseudoCount")
def batches_add() -> float:
    """Yesterday's posterior as today's prior over three batches, measured against the first prior."""
    batches = [(4.0, 1.3), (7.0, 2.9), (5.0, 0.6)]
    first, _ = observed()
    prior, single = first, 0.0
    for n, s2 in batches:
        moments = GradientMoments.from_variance(tensor(0.4), tensor(s2), n, n - 1)
        posterior = ConjugateNormal(prior)(moments)
        single += float(PseudoCount(W).amount(ConjugateNormal(first)(moments), first, ONE_BLOCK))
        prior = GradientPrior(posterior.loc, posterior.variance)
    total = float(PseudoCount(W).amount(posterior, first, ONE_BLOCK))
    return gap((total, single), [f.of_batches(W, float(PRIOR_VARIANCE), batches)] * 2)


@check("2.4", how=How.NUMERICAL, tolerance=1e-12, code="bogc.gradients.GradientMoments")
def reestimated_variance_does_not_add() -> float:
    """Merged moments of two and three samples: the formula, and a real difference from the sum of both."""
    first, _ = observed()
    parts = SAMPLES[:2], SAMPLES[2:]
    moments = [GradientMoments.from_samples(tensor(*part).unsqueeze(1)) for part in parts]
    evidence = [float(PseudoCount(W).amount(ConjugateNormal(first)(m), first, ONE_BLOCK)) for m in moments]
    union = float(
        PseudoCount(W).amount(ConjugateNormal(first)(moments[0].merge(moments[1])), first, ONE_BLOCK)
    )
    (n1, mean1, scatter1), (n2, mean2, scatter2) = map(exact_moments, parts)
    stated = f.of_union(W, PRIOR_VARIANCE, n1, scatter1, n2, scatter2, mean2 - mean1)
    return max(gap((union,), (stated,)), abs(union - sum(evidence)) < 0.1)


@check("2.5", how=How.SYMBOLIC)
def additivity_forces_the_form() -> float:
    """Solve f(1+x+y) = f(1+x) + f(1+y) for all x and y on a grid of thirds, of sevenths: one solution."""
    wrong = 0
    for parts in (3, 7):
        size = 2 * parts + 1  # unknowns f(1), f(1 + 1/parts), ..., f(3)
        rows = [
            [(k == i + j) - (k == i) - (k == j) for k in range(size)]
            for i in range(size)
            for j in range(i, size - i)
        ]
        (solution,) = sp.Matrix(rows).nullspace()
        claimed = [f.additive(sp.Rational(k, parts), solution[parts]) for k in range(size)]
        wrong += claimed != list(solution)
    return wrong


@check("2.5", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.PseudoCount")
def the_code_has_the_form() -> float:
    """PseudoCount at posterior precisions of 1 + x times the prior's."""
    shares, tau2 = (0.0, 0.3, 1.0, 4.7), 0.8
    variances = tensor(*(tau2 / (1 + x) for x in shares))
    amounts = PseudoCount(W).amount(
        GradientPosterior(0 * variances, variances), GradientPrior(tensor(0), tensor(tau2)), ONE_BLOCK
    )
    return gap(amounts, [f.additive(x, float(amounts[2])) for x in shares])


def amount(policy: PriorPolicy, moments: GradientMoments, route: PosteriorRoute | None = None) -> Tensor:
    """Evidence of a block after one step of a prior policy."""
    prior = learned(policy, moments)
    return PseudoCount(W).amount((route or NormalRoute())(moments, prior), prior, ONE_BLOCK)


@check("2.6", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.BlockPrior")
def scale_of_the_loss() -> float:
    """Multiply gradients by 2.5: no change with an empirical-Bayes prior, the stated one with a fixed one."""
    moments, c = block(), 2.5
    scaled = GradientMoments.from_variance(c * moments.mean, c**2 * moments.variance, 8.0, 7.0)
    free = (amount(BlockPrior(), scaled) - amount(BlockPrior(), moments)).abs().max()
    fixed = amount(FixedPrior(0.7), scaled) - f.fixed_prior(amount(FixedPrior(0.7), moments), c)
    return float(torch.maximum(free, fixed.abs().max()))


@check("2.7", "2.8", "2.9", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.Opinion")
def opinion_is_the_share_of_variance() -> float:
    """Opinion after bogc: u = v / tau^2, b the shrinkage factor, loc the mixture, for two values of W."""
    prior, moments = observed()
    posterior, (n, mean, s2), errors = ConjugateNormal(prior)(moments), batch(), []
    for weight in (2, 7):
        found, e = opinion(posterior, prior, weight), weight * n * PRIOR_VARIANCE / s2
        u, b = f.uncertainty(weight, e), f.belief(weight, e)
        loc = f.posterior_mean(u, PRIOR_MEAN, b, mean)
        errors.append(gap((found.uncertainty, found.belief.sum(), posterior.loc), (u, b, loc)))
        errors.append(gap((posterior.variance / prior.variance,), (u,)))
    return max(errors)


@check("2.10", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.FilteredRoute")
def filtered_belief_is_all_that_is_known() -> float:
    """Five steps of the route: belief by Bayes' rule, step by step, and the weight of the batch."""
    route, moments, phi, tau2 = FilteredRoute(), block(), 0.8, 0.7
    prior = GradientPrior(tensor(0), tensor(tau2))
    carried = {name: tensor(0, 0, 0) for name in route.remembers}
    variance, errors = tensor(tau2, tau2, tau2), []
    for _ in range(5):
        before = carried["filtered mean"].clone()
        route.remember(moments, prior, carried, phi)
        posterior = route.posterior(moments, prior, carried, ONE_BLOCK)
        predicted = phi**2 * variance + (1 - phi**2) * tau2
        variance = 1 / (1 / predicted + 1 / moments.noise)
        left = tau2 / predicted - 1
        moved = (posterior.loc - phi * before) / (moments.mean - phi * before)
        belief, gain = f.filtered_belief(left, tau2 / moments.noise)
        found = opinion(posterior, prior).belief.sum(-1)
        errors += [gap(found, belief), gap(1 - variance / tau2, belief), gap(moved, gain)]
    return max(errors)


@check("2.11", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.NormalInverseGammaRoute")
def unknown_variance_agrees() -> float:
    """Uncertainty of each dimension, one of them so noisy that the clamp at zero evidence is reached."""
    moments, shape = (
        GradientMoments.from_variance(tensor(0.1, 1.9, 0.3), tensor(0.4, 9.0, 0.2), 3.0, 2.0),
        3.0,
    )
    prior = learned(FixedPrior(0.3), moments)
    found = opinion(NormalInverseGammaRoute(shape)(moments, prior), prior).uncertainty
    wanted, pooled = [], 9.6 / 3
    kappa0 = pooled / 0.3
    for mean, s2 in ((0.1, 0.4), (1.9, 9.0), (0.3, 0.2)):
        pull = kappa0 * 3 / (kappa0 + 3) * mean**2
        noise_mean = ((shape - 1) * pooled + (2 * s2 + pull) / 2) / (shape + 1.5 - 1)
        wanted.append(f.unknown_variance(noise_mean, pooled, kappa0, 3))
    return max(gap(found, wanted), wanted[1] != 1, wanted[0] == 1)


@check("2.12", how=How.NUMERICAL, tolerance=1e-12, code="bogc.belief.DimensionsFrame")
def dimensions_frame_is_no_shrinkage() -> float:
    """Beliefs of one opinion on a block are smaller than shrinkage; the reliability frame keeps it."""
    moments = block()
    prior = learned(FixedPrior(0.7), moments)
    posterior, kept = NormalRoute()(moments, prior), 0.7 / (0.7 + moments.noise)
    beliefs = []
    for frame in (DimensionsFrame(), ReliabilityFrame()):
        evidence = PseudoCount(W, frame)(posterior, prior)
        beliefs.append(Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence)).belief)
    stated = tensor(*f.in_a_block(W, (W * 0.7 / moments.noise).tolist()))
    error = torch.maximum((beliefs[0] - stated).abs(), (beliefs[1][:, 0] - kept).abs()).max()
    return max(float(error), not bool((stated < kept - 0.1).all()))
