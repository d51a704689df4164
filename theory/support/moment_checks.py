"""Checks of chapter 1, second part: estimates of moments, and the filter."""

from fractions import Fraction

import torch
from torch import nn

import theory.support.posterior_oracles as by
from bogc.gradients import GradientMoments, RunningMoments
from bogc.posterior import FilteredPrior, NormalRoute
from theory.registry import How, check
from theory.support.expectations import MEAN, VARIANCE, expectation
from theory.support.posterior_oracles import SAMPLES, differs, exact_moments, f, gap, tensor


@check("1.14", how=How.EXHAUSTIVE)
def grouped_variance_is_unbiased() -> float:
    """Average over all outcomes of six, three and four draws in groups of unequal sizes."""
    sizes = ((1, 2, 3), (2, 1), (1, 1, 2))
    found = [expectation(lambda x, c=c: f.grouped_variance(by.split(x, c)), sum(c)) for c in sizes]
    return max(abs(value - VARIANCE) for value in found)


@check("1.14", how=How.NUMERICAL, tolerance=1e-12, code="bogc.gradients.GradientMoments")
def from_groups_agrees() -> float:
    """GradientMoments.from_groups on groups of one, three and one sample."""
    sizes, means = zip(*by.split(SAMPLES, (1, 3, 1)), strict=True)
    moments = GradientMoments.from_groups(tensor(*means).unsqueeze(1), tensor(*sizes))
    return gap((moments.variance,), (f.grouped_variance(by.split(SAMPLES, (1, 3, 1))),))


@check("1.15", how=How.NUMERICAL, tolerance=1e-12, code="bogc.gradients.GradientMoments")
def merge_is_exact() -> float:
    """Merge two and three samples in rationals and by GradientMoments.merge, against all five at once."""
    whole, parts = exact_moments(SAMPLES), (SAMPLES[:2], SAMPLES[2:])
    found = f.merged(*exact_moments(parts[0]), *exact_moments(parts[1]))
    first, second = (GradientMoments.from_samples(tensor(*part).unsqueeze(1)) for part in parts)
    code = first.merge(second)
    return max(found != whole, gap((code.count, code.mean, code.scatter), whole))


@check("1.16", "1.17", "1.18", how=How.NUMERICAL, tolerance=1e-12, code="bogc.gradients.RunningMoments")
def running_moments_agree() -> float:
    """The recursion in rationals equals the weighted definitions; so does RunningMoments."""
    decay, state, code = Fraction(2, 3), (Fraction(0),) * 3, RunningMoments.empty(tensor(0))
    for x in SAMPLES:
        state, code = f.running(*state, x, decay), code.update(tensor(x), float(decay))
    weights = by.powers(decay, 5)
    wanted, squared = by.weighted_moments(weights, SAMPLES), sum(w * w for w in weights)
    variance, count = f.weighted_variance(wanted[2], wanted[0], squared), f.effective_count(weights)
    found = (code.weight, code.mean, code.scatter, code.variance, code.effective_count)
    return max(state != wanted, gap(found, (*wanted, variance, count)))


@check("1.17", "1.18", how=How.EXHAUSTIVE)
def weighted_estimates_in_expectation() -> float:
    """All outcomes of four draws: mean of the variance, and n_eff from the noise of the weighted mean."""
    weights = by.powers(Fraction(2, 3), 4)
    squared = sum(w * w for w in weights)

    def variance(x):
        total, _, scatter = by.weighted_moments(weights, x)
        return f.weighted_variance(scatter, total, squared)

    noise = expectation(lambda x: (by.weighted_moments(weights, x)[1] - MEAN) ** 2, 4)
    return max(abs(expectation(variance, 4) - VARIANCE), abs(VARIANCE / noise - f.effective_count(weights)))


@check("1.18", how=How.NUMERICAL, tolerance=1e-12)
def effective_count_of_a_stream() -> float:
    """Four hundred observations at decay 0.9 count as nineteen."""
    return gap((f.effective_limit(0.9), f.effective_limit(0.9)), (f.effective_count(by.powers(0.9, 400)), 19))


@check("1.19", how=How.RATIONAL)
def degrees_of_freedom_by_traces() -> float:
    """Match a chi-square by traces of the scatter's matrix; Kish's count less one is never larger."""
    errors = []
    for weights in ([Fraction(1)] * 4, [Fraction(2), Fraction(3, 7)], by.powers(Fraction(2, 3), 5)):
        found = f.chi_square_degrees(*(sum(w**k for w in weights) for k in (1, 2, 3)))
        errors += [found - by.chi_square_match(weights), max(f.effective_count(weights) - 1 - found, 0)]
    return max(map(abs, errors))


@check("1.20", how=How.SYMBOLIC)
def kalman_by_bayes() -> float:
    """The step is the Normal posterior from a prior of variance v + q."""
    m, v, q, x, r = by.symbols("m v q x r")
    gain, mean, variance = f.kalman(m, v, q, x, r)
    wanted = 1 / (1 / (v + q) + 1 / r)
    return differs((gain, mean, variance), (wanted / r, wanted * (m / (v + q) + x / r), wanted))


@check("1.20", "1.21", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.FilteredPrior")
def filtered_prior_agrees() -> float:
    """Forty steps at constant moments: each is the formula's, and the gain settles at the steady one."""
    policy, route, state, errors, before = FilteredPrior(), NormalRoute(), {}, [], None
    moments = GradientMoments.from_variance(tensor(1.7), tensor(0.8), 4.0, 3.0)
    r, tau2 = 0.8 / 4, 1.7**2 - 0.8 / 4
    for _ in range(40):
        prior, state = policy.propose(moments, state)
        posterior = route(moments, prior)
        if before is not None:
            gain, loc, variance = f.kalman(before.loc, before.variance, policy.process * tau2, 1.7, r)
            errors.append(gap((posterior.loc, posterior.variance), (loc, variance)))
        before, state = posterior, policy.absorb(state, posterior)
    return max(*errors, abs(float(gain) - f.steady_gain(policy.process * tau2 / r)))


@check("1.21", "1.22", how=How.NUMERICAL, tolerance=1e-12)
def riccati_settles() -> float:
    """Iterate the recursion of precisions to its limit, from small and large variances."""
    errors = [
        by.riccati(q, 1.3, start, 400)[0] - f.steady_gain(q / 1.3) for q in (0.2, 5.1) for start in (0.01, 90)
    ]
    settled = [by.riccati(f.ratio_of_momentum(beta), 1.0, 0.5, 400)[0] - (1 - beta) for beta in (0.3, 0.9)]
    return max(map(abs, errors + settled))


@check("1.22", how=How.NUMERICAL, tolerance=1e-12)
def steady_filter_is_momentum() -> float:
    """Filter means at the steady variance, and (1 - beta) times the momentum buffer of torch's SGD."""
    beta, mean, average, weight = 0.8, 0.0, 0.0, nn.Parameter(tensor(0))
    q, optimiser = f.ratio_of_momentum(beta), torch.optim.SGD([weight], lr=0.1, momentum=beta)
    for x in map(float, SAMPLES):
        average = f.moving_average(average, x, beta)
        mean = f.kalman(mean, 1 - beta, q, x, 1.0)[1]  # r = 1: the steady variance is the steady gain
        weight.grad = tensor(x)
        optimiser.step()
    return gap((mean, (1 - beta) * optimiser.state[weight]["momentum_buffer"]), (average, average))


@check("1.23", how=How.RATIONAL)
def corrected_average_is_not_the_filter() -> float:
    """Second gain of Adam's bias-corrected mean less that of the filter started at its first observation."""
    errors = []
    for beta in (Fraction(1, 3), Fraction(9, 10)):
        second = by.riccati((1 - beta) ** 2 / beta, Fraction(1), Fraction(1), 1)[
            0
        ]  # after the first step v = r = 1
        errors.append((1 - beta) / (1 - beta**2) - second - f.start_gap(beta))
    return max(map(abs, errors))


@check("1.24", how=How.EXHAUSTIVE, tolerance=1e-12)
def adam_second_moment_in_expectation() -> float:
    """Average exp_avg_sq of torch's Adam, bias-corrected, over all outcomes of three gradients."""

    def corrected(sample):
        weight = nn.Parameter(tensor(0))
        optimiser = torch.optim.Adam([weight], betas=(0.9, 0.8), foreach=False)
        for x in sample:
            weight.grad = tensor(x)
            optimiser.step()
        return Fraction(float(optimiser.state[weight]["exp_avg_sq"])) / Fraction(1 - 0.8**3)

    return abs(float(expectation(corrected, 3) - f.adam_second_moment(MEAN, VARIANCE)))
