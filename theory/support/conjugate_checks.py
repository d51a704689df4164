"""Checks of chapter 1, first part: conjugate posteriors and the scale of the prior."""

from fractions import Fraction

import scipy.stats
import sympy as sp

import theory.support.posterior_oracles as by
from bogc.gradients import GradientMoments
from bogc.posterior import BlockPrior, ConjugateNormal, NormalInverseGammaRoute
from theory.registry import How, check
from theory.support.expectations import MEAN, VARIANCE, expectation
from theory.support.posterior_oracles import PRIOR_MEAN as M
from theory.support.posterior_oracles import PRIOR_VARIANCE as TAU2
from theory.support.posterior_oracles import SAMPLES, differs, exact_moments, f, gap, observed, tensor
from theory.support.training import learned

NIG = (2.7, -0.4, 3.3, 1.9)  # kappa, m, a, b
UNEQUAL = [(1.0, 0.1), (9.0, 4.0), (0.2, 0.1)]  # (squared mean, noise)


@check("1.1", "1.2", how=How.SYMBOLIC)
def normal_posterior_by_bayes() -> float:
    """Root and curvature of log prior plus log likelihood of four samples."""
    (m, t, s, mean), root, precision = by.normal_by_bayes(4)
    found = f.normal_precision(t, s, 4), f.normal_mean(m, t, mean, s, 4), *f.shrunk(m, t, mean, s / 4)
    return differs(found, (precision, root, root, 1 / precision))


@check("1.1", "1.2", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.ConjugateNormal")
def conjugate_normal_agrees() -> float:
    """ConjugateNormal on five samples with a prior off zero."""
    n, mean, scatter = exact_moments(SAMPLES)
    prior, moments = observed()
    posterior, variance = ConjugateNormal(prior)(moments), scatter / (n - 1)
    precision, loc = f.normal_precision(TAU2, variance, n), f.normal_mean(M, TAU2, mean, variance, n)
    found = (posterior.loc, posterior.variance)
    return max(gap(found, (loc, 1 / precision)), gap(found, f.shrunk(M, TAU2, mean, variance / n)))


@check("1.3", how=How.RATIONAL)
def mean_and_scatter_suffice() -> float:
    """Sum of squares around seven values of g, term by term."""
    n, mean, scatter = exact_moments(SAMPLES)
    points = [Fraction(k, 3) for k in range(-3, 4)]
    return max(
        abs(f.squares_around(scatter, n, mean, g) - sum((x - g) ** 2 for x in SAMPLES)) for g in points
    )


@check("1.4", how=How.SYMBOLIC)
def nig_is_conjugate() -> float:
    """Log kernel of the prior plus log likelihood of three samples is that of the updated numbers."""
    g, s, kappa, m, a, b, *data = by.symbols("g s kappa m a b G1:4")
    mean = sum(data) / 3
    likelihood = -sp.Rational(3, 2) * sp.log(s) - sum((x - g) ** 2 for x in data) / (2 * s)
    updated = f.nig_update(kappa, m, a, b, sp.Integer(3), mean, sum((x - mean) ** 2 for x in data))
    return differs(by.nig_kernel(g, s, *updated), by.nig_kernel(g, s, kappa, m, a, b) + likelihood)


@check("1.5", how=How.NUMERICAL, tolerance=1e-7)
def student_by_integration() -> float:
    """Integrate the variance out at three points; and SciPy's Student-t."""
    (kappa, m, a, b), points = NIG, (-1.7, -0.4, 0.9)
    df, scale2 = f.student(kappa, a, b)
    found = [f.marginal_density(g, *NIG) for g in points]
    integrals = [by.integrated_normal(g, *NIG) for g in points]
    return max(gap(found, integrals), gap(found, scipy.stats.t.pdf(points, df, m, scale2**0.5)))


@check("1.6", how=How.NUMERICAL, tolerance=1e-7)
def student_variance_by_total_variance() -> float:
    """Integrate the expected variance; and SciPy's Student-t."""
    kappa, _, a, b = NIG
    t = scipy.stats.t.var(2 * a, scale=(b / (a * kappa)) ** 0.5)
    return gap([f.marginal_variance(kappa, a, b)] * 2, (by.integrated_noise(kappa, a, b), t))


@check("1.4", "1.5", "1.6", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.NormalInverseGammaRoute")
def nig_route_agrees() -> float:
    """The route's Student-t and Gaussian in a block of one dimension, where the pooled variance is s^2."""
    (n, mean, scatter), shape = exact_moments(SAMPLES), Fraction(7, 2)
    pooled = scatter / (n - 1)
    marginal = NormalInverseGammaRoute(float(shape)).marginal(*reversed(observed()))
    kappa, loc, a, b = f.nig_update(pooled / TAU2, M, shape, (shape - 1) * pooled, n, mean, scatter)
    found = (marginal.df, marginal.loc, marginal.scale**2, marginal.to_gaussian().variance)
    return gap(found, (2 * a, loc, f.student(kappa, a, b)[1], f.marginal_variance(kappa, a, b)))


@check("1.7", how=How.SYMBOLIC)
def matched_moments_minimise() -> float:
    """Average over a two-point law; slope zero and positive Hessian at its moments."""
    mu, v = sp.Symbol("mu", real=True), sp.Symbol("v", positive=True)
    mean, variance = (sp.Rational(*x.as_integer_ratio()) for x in (MEAN, VARIANCE))
    objective = f.cross_entropy(mu, v, mean, variance)
    at = {mu: mean, v: variance}
    stationary = all(objective.diff(x).subs(at) == 0 for x in at)
    convex = sp.hessian(objective, (mu, v)).subs(at).is_positive_definite
    return differs(sp.expand_log(objective), sp.expand_log(by.minus_log_normal(mu, v))) or not (
        stationary and convex
    )


@check("1.8", how=How.EXHAUSTIVE)
def square_of_a_batch_gradient() -> float:
    """True gradient and error drawn from two scaled two-point laws: mean square over all outcomes."""
    m, a, c = Fraction(4, 5), Fraction(3, 2), Fraction(2, 9)
    found = expectation(lambda x: (m + a * (x[0] - MEAN) + c * (x[1] - MEAN)) ** 2, 2)
    return abs(found - f.second_moment(m, a**2 * VARIANCE, c**2 * VARIANCE))


@check("1.9", how=How.NUMERICAL, tolerance=1e-5)
def equal_noise_maximiser() -> float:
    """Maximise the marginal likelihood of three blocks, one of them below its noise."""
    blocks = [([2.3], 0.7), ([2.3, 0.1, 4.4], 0.7), ([0.3, 0.1, 0.4, 0.2], 0.7)]
    wanted = [by.maximiser([(q, s) for q in squares]) for squares, s in blocks]
    return gap([f.prior_scale(squares, [s] * len(squares)) for squares, s in blocks], wanted)


@check("1.9", how=How.EXHAUSTIVE)
def unequal_noise_is_subtracted() -> float:
    """Two dimensions of very different noise, both small: the mean estimate over all outcomes is tau^2."""
    a, noises = Fraction(3, 2), (Fraction(1, 9), Fraction(2, 5))

    def estimate(x: list[Fraction]) -> Fraction:
        pairs = zip(x[:2], x[2:], noises, strict=True)
        squares = [(a * (g - MEAN) + c * (e - MEAN)) ** 2 for g, e, c in pairs]
        return f.prior_scale(squares, [c**2 * VARIANCE for c in noises])

    return abs(expectation(estimate, 4) - a**2 * VARIANCE)


@check("1.9", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.BlockPrior")
def block_prior_agrees() -> float:
    """Two weighted steps of BlockPrior on three dimensions; and its floor where the estimate is 0."""
    mean, variance = tensor(1.5, -0.3, 2.1), tensor(0.8, 2.4, 1.3)
    moments = GradientMoments.from_variance(mean, variance, 4.0, 3.0)
    small = GradientMoments.from_variance(mean / 9, variance, 4.0, 3.0)
    squares, noises = (mean**2).tolist(), (variance / 4).tolist()
    tiny = [q / 81 for q in squares]
    first = learned(BlockPrior(0.5), moments)
    second = learned(BlockPrior(0.5), moments, small)  # weights 1/3 and 2/3
    low = learned(BlockPrior(0.5), small)
    wanted = (
        f.prior_scale(squares, noises),
        f.prior_scale(squares + 2 * tiny, 3 * noises),
        f.prior_scale(tiny, noises),
    )
    return gap((first.variance, second.variance, low.variance - 1e-3 * sum(noises) / 3), wanted)


@check("1.10", how=How.SYMBOLIC)
def score_is_the_derivative() -> float:
    """Differentiate the log marginal likelihood of three gradients of unequal noise."""
    t, *data = by.symbols("t q1:4 s1:4")
    pairs = list(zip(data[:3], data[3:], strict=True))
    return differs(f.score(t, pairs), sum(-sp.log(t + s) / 2 - q / (2 * (t + s)) for q, s in pairs).diff(t))


@check("1.10", "1.11", how=How.NUMERICAL, tolerance=1e-5)
def unequal_noise_counterexample() -> float:
    """The numerical maximiser has score 0 and is a fixed point, far from the pooled moment estimate 2."""
    best = by.maximiser(UNEQUAL)
    far = abs(sum(q - s for q, s in UNEQUAL) / 3 - 2) < 1e-12 and abs(best - 0.545) < 1e-3
    return max(abs(f.weighted_scale(best, UNEQUAL) - best), abs(f.score(best, UNEQUAL)), not far)


@check("1.12", how=How.NUMERICAL, tolerance=1e-9)
def truncation_by_integration() -> float:
    """Integrate the truncated excess."""
    return abs(by.truncated_excess(1.7) - f.truncation_bias(1.7))


@check("1.13", how=How.EXHAUSTIVE, tolerance=1e-12)
def pooled_scale_scatters() -> float:
    """Variance of the mean square of one to three Normals."""
    wanted = [by.variance_of_mean_square(1.3 + 0.45, d) for d in (1, 2, 3)]
    return gap([f.scale_variance(1.3, 0.45, d) for d in (1, 2, 3)], wanted)
