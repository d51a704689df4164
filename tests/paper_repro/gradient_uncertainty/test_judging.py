"""Where truth and noise are known, coverage is nominal.

Tolerances are 4.3 standard deviations of a share of n independent dimensions: each comparison fails by chance
with probability 2e-5. Those of the Student-t test are widened for the pooled variance, which is itself drawn.
"""

import math

import pytest
import torch

from bogc.gradients import GradientMoments
from paper_repro.gradient_uncertainty.judging import (
    choices,
    correlation_scores,
    coverage,
    coverage_scores,
    judge,
    layer_scores,
    noise_scores,
    sign_scores,
)
from paper_repro.gradient_uncertainty.measures import LEVELS
from paper_repro.gradient_uncertainty.table import TRUE_NOISE, TRUE_SCALE
from paper_repro.gradient_uncertainty.watching import stack
from tests.paper_repro.gradient_uncertainty.made import known, observe, truth_of

N = 40_000


def tolerance(level: float) -> float:
    return 4.3 * math.sqrt(level * (1 - level) / N)


def test_coverage_is_nominal_when_prior_and_noise_are_true():
    scores = coverage_scores(known(4, N // 4))
    for level in LEVELS:
        found = scores[f"{coverage(level)} | made | fixed | normal"]
        assert found == pytest.approx(level, abs=tolerance(level))


def test_a_noise_that_is_underestimated_is_found_out():
    judged = known(4, N // 4)
    quarter = GradientMoments.unchecked(
        mean=judged.observed.mean,
        scatter=judged.observed.scatter / 4,
        count=judged.observed.count,
        degrees_of_freedom=judged.observed.degrees_of_freedom,
    )
    scores = coverage_scores(judge(judged.choice, quarter, {}, judged.truth))
    assert scores["coverage 0.9 | made | fixed | normal"] < 0.9 - 10 * tolerance(0.9)


def test_student_coverage_is_nominal_under_its_own_model():
    shape, samples = 3.0, 4
    variance = 1 / torch.distributions.Gamma(shape, shape - 1).sample((1, N))  # mean 1
    gradient = variance.sqrt() * torch.randn(1, N)  # kappa0 = 1: mean square 1, as the fixed prior says
    draws = gradient + variance.sqrt() * torch.randn(samples, 1, N)
    observed = stack([GradientMoments.from_samples(draws.transpose(0, 1))])
    scores = coverage_scores(
        judge(("made", "fixed", "nig"), observed, {}, truth_of(gradient, variance / samples))
    )
    for level in LEVELS:
        assert scores[f"{coverage(level)} | made | fixed | student-t"] == pytest.approx(
            level, abs=tolerance(level) + 0.005
        )


def test_sign_of_the_posterior_is_calibrated_and_the_opinion_s_is_too_careful():
    scores = sign_scores(known(4, N // 4))
    stated = scores["sign error, posterior | made | fixed | normal"]
    # E |frequency - probability| <= sqrt(p q / n) a bin: below 0.01 for ten bins, at 4.3 sd below 0.02
    assert stated < 0.02
    assert scores["sign error, opinion | made | fixed | normal"] > 2 * stated


def test_u_ranks_errors_only_if_noise_differs():
    uneven = correlation_scores(known(4, N // 4, spread=5.0))
    even = correlation_scores(known(4, N // 4, spread=1e-9))
    assert uneven["u ~ error | made | fixed | normal"] > 0.1
    assert uneven["u ~ batch error | made | fixed | normal"] > 0.1
    assert abs(even["u ~ error | made | fixed | normal"]) < 4.3 / math.sqrt(N)


def test_known_noise_and_scale_order_the_layers():
    noise = torch.tensor([0.1, 1.0, 3.0, 9.0]).unsqueeze(1).expand(4, 100)
    truth = truth_of(torch.randn(4, 100), noise)
    judged = judge((TRUE_NOISE, TRUE_SCALE, "normal"), observe(truth, 3), {}, truth)
    scores = layer_scores(judged)
    assert scores[f"u ~ true u, layers | {judged.name}"] == pytest.approx(1)
    assert scores[f"u - true u, layers | {judged.name}"] == pytest.approx(0, abs=1e-9)


def test_noise_ratio_is_one_where_the_truth_is_stated():
    truth = truth_of(torch.randn(2, 50), torch.rand(2, 50) + 0.1)
    scores = noise_scores("made", observe(truth, 3), truth)
    assert all(value == pytest.approx(1) for value in scores.values())
    assert scores.keys() == {
        f"{name}, {part} | made"
        for name in ("noise ratio", "pooled noise ratio")
        for part in ("low", "median", "high")
    }


def test_dimensions_without_gradient_are_not_judged():
    judged = known(1, 100)
    dead = truth_of(judged.truth.gradient, judged.truth.noise)
    dead.quiet[0, :50] = 1
    half = judge(judged.choice, judged.observed, {}, dead)
    assert int(half.kept.sum()) == 50
    dead.quiet[0, :95] = 1
    assert not bool(judge(judged.choice, judged.observed, {}, dead).kept.any())


def test_choices_of_known_noise_need_no_past():
    assert {prior for _, prior, _ in choices(TRUE_NOISE)} == {"block", TRUE_SCALE}
    assert ("grouped 4", "filtered", "nig") in set(choices("grouped 4"))
