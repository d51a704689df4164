"""Checks of chapter 1, second part: estimates of moments, and momentum as a filter."""

import itertools
from fractions import Fraction

import torch
from torch import nn

import theory.support.posterior_oracles as by
from bogc.gradients import GradientMoments, Grouped, PerSample
from bogc.posterior.prior import discounted_count
from theory.registry import How, check
from theory.support.expectations import MEAN, VARIANCE, expectation
from theory.support.posterior_oracles import SAMPLES, differs, exact_moments, f, gap, tensor
from theory.support.prescribed import Prescribed, random_rows


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


@check("1.14", "1.15", how=How.NUMERICAL, tolerance=1e-12, code="bogc.gradients.estimators.PerSample")
def estimators_within_a_batch_agree() -> float:
    """Grouped and PerSample, which merges pairs of samples, on a batch of seven, in a unit of 4."""
    network, rows, found, wanted = Prescribed({"audio": [3]}), random_rows({"fusion": 7}, 3, seed=6), [], []
    samples = rows["fusion"]["audio"] / 4
    for estimator, parts in (
        (Grouped(3), [samples[k::3] for k in range(3)]),
        (PerSample(2), samples.split(1)),
    ):
        (group,) = estimator.measure(network.losses(rows), network.partition, 4.0, {})
        found += [*group.gradients[0, :3], *group.scatter[0, :3] / group.freedom["fusion"]]
        sizes = [[(len(part), float(part[:, d].mean())) for part in parts] for d in range(3)]
        wanted += [*samples.mean(0), *map(f.grouped_variance, sizes)]
    return gap(found, wanted)


@check("1.15", how=How.NUMERICAL, tolerance=1e-12, code="bogc.gradients.GradientMoments")
def merge_is_exact() -> float:
    """Merge two and three samples in rationals and by GradientMoments.merge, against all five at once."""
    whole, parts = exact_moments(SAMPLES), (SAMPLES[:2], SAMPLES[2:])
    found = f.merged(*exact_moments(parts[0]), *exact_moments(parts[1]))
    first, second = (GradientMoments.from_samples(tensor(*part).unsqueeze(1)) for part in parts)
    code = first.merge(second)
    return max(found != whole, gap((code.count, code.mean, code.scatter), whole))


@check("1.16", how=How.RATIONAL, tolerance=1e-12, code="bogc.posterior.prior.discounted_count")
def discounted_sums() -> float:
    """The recursion run on ones is the closed form, which bogc has too; its mean is the weighted one."""
    decay, total, ones, errors = Fraction(2, 3), Fraction(0), Fraction(0), []
    for t, x in enumerate(SAMPLES, start=1):
        total, ones = decay * total + x, decay * ones + 1
        weights = by.powers(decay, t)
        errors += [
            f.discounted(decay, t) - ones,
            total / f.discounted(decay, t) - by.weighted_moments(weights, SAMPLES[:t])[1],
        ]
        errors.append(discounted_count(float(decay), t) - float(ones))
    return max(map(abs, errors))


@check("1.18", how=How.EXHAUSTIVE)
def effective_count_in_expectation() -> float:
    """All outcomes of four draws: n_eff from the noise of the weighted mean."""
    weights = by.powers(Fraction(2, 3), 4)
    noise = expectation(lambda x: (by.weighted_moments(weights, x)[1] - MEAN) ** 2, 4)
    return abs(VARIANCE / noise - f.effective_count(weights))


@check("1.18", how=How.NUMERICAL, tolerance=1e-12)
def effective_count_of_a_stream() -> float:
    """A thousand observations at four decays; at 0.95 they count as thirty-nine."""
    decays = (0.2, 0.5, 0.8, 0.95)
    found = gap(map(f.effective_limit, decays), [f.effective_count(by.powers(x, 1000)) for x in decays])
    return max(found, abs(f.effective_limit(0.95) - 39))


@check("1.19", how=How.RATIONAL)
def degrees_of_freedom_by_traces() -> float:
    """Match a chi-square by traces; equal weights give von Neumann's 2n^2 / (3n - 1)."""
    errors = []
    for weights in ([Fraction(1)] * 4, [Fraction(2), Fraction(3, 7)], by.powers(Fraction(2, 3), 5)):
        sums = sum(weights), sum(w * w for w in weights), sum(a * b for a, b in itertools.pairwise(weights))
        errors.append(f.difference_degrees(*sums) - by.differences_match(weights))
    errors.append(f.difference_degrees(6, 6, 5) - Fraction(72, 17))
    return max(map(abs, errors))


@check("1.20", how=How.SYMBOLIC)
def kalman_by_bayes() -> float:
    """The step is the Normal posterior from a prior of variance v + q."""
    m, v, q, x, r = by.symbols("m v q x r")
    gain, mean, variance = f.kalman(m, v, q, x, r)
    wanted = 1 / (1 / (v + q) + 1 / r)
    return differs((gain, mean, variance), (wanted / r, wanted * (m / (v + q) + x / r), wanted))


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
