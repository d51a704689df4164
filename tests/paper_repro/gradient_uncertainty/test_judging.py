import math

import pytest
import torch

from bogc.calibration import Pipeline, calibrate_block
from bogc.gradients import GradientMoments
from bogc.posterior import GradientPrior
from paper_repro.gradient_uncertainty.judging import (
    LEVELS,
    averages,
    half_width,
    judge,
    rank_correlation,
    rules_on_truth,
    update_errors,
)
from paper_repro.gradient_uncertainty.truth import Truth, Truths

D, BATCHES = 20_000, 80


def made(scale: float = 1.0) -> tuple[dict[str, object], Truths]:
    """Two losses in one layer, gradients from the prior; the noise that is stated is off by a factor."""
    ones = torch.ones(D, dtype=torch.bool)
    moments, priors, pairs = {}, {}, {}
    for source in ("fusion", "a"):
        noise = 0.5 + torch.rand(D)
        tau = noise.sqrt()
        gradient = tau.sqrt() * torch.randn(D)
        mean = gradient + noise.sqrt() * torch.randn(D)
        one = torch.ones(1)
        moments[source] = GradientMoments(mean, scale * noise * 64 * 99, 64 * one, 99 * one)
        priors[source] = GradientPrior.centred(tau)
        pairs[source, "layer"] = Truth(gradient, noise, ones, BATCHES)
    total = Truth(
        sum(truth.gradient for truth in pairs.values()), sum(t.noise for t in pairs.values()), ones, BATCHES
    )
    block = calibrate_block(moments, priors, Pipeline())
    return {"layer": block}, Truths(pairs, {"layer": total}, {"layer": 0.0})


def test_coverage_is_nominal_where_noise_and_scale_are_known():
    """Of 40,000 draws a share has standard error of at most .0025: 5 of these fail once in a million."""
    blocks, truths = made()
    scores = averages(judge(blocks, truths, fused=True))
    for level in LEVELS:
        assert scores[f"coverage {level}"] == pytest.approx(level, abs=0.0125)
    assert scores["noise ratio, geometric"] == pytest.approx(1)
    assert scores["u, ratio"] == pytest.approx(scores["true u, ratio"], abs=0.02)
    assert scores["u"] == pytest.approx(scores["true u, root"], abs=0.02)
    assert scores["u, distance"] < 0.02
    assert 0 < scores["u ~ error"] < 1
    assert scores["sign right, dempster"] > 0.6
    assert scores["fused u, dempster"] < scores["fused u, cumulative"] < scores["fused u, cautious"]


def test_understated_noise_shows():
    blocks, truths = made(scale=0.25)
    scores = averages(judge(blocks, truths, fused=False))
    assert scores["noise ratio, geometric"] == pytest.approx(0.25)
    assert scores["coverage 0.9"] < 0.8
    assert scores["u"] < scores["true u, root"] - 0.2
    assert not any(name.startswith(("fused", "sign")) for name in scores)


def test_an_update_along_the_plain_sum_has_its_error():
    blocks, truths = made()
    known = update_errors(blocks["layer"], truths.sums["layer"])
    assert known["log error, update"] == pytest.approx(math.log(known["error, update"]))
    assert 0.8 < known["error, means"] < 1.2


def test_rules_on_the_truth_are_exact_for_sources_as_they_assume():
    """Two sources that say the same add no evidence; independent ones of one gradient add theirs."""
    ones = torch.ones(4, dtype=torch.bool)
    one = Truth(torch.ones(4), torch.ones(4), ones, 10**9)
    same = rules_on_truth([one, one], Truth(2 * torch.ones(4), 4 * torch.ones(4), ones, 10**9))
    assert [same["sum's true u"], same["u from true u, cautious"]] == pytest.approx([1 / 2, 1 / 2])
    apart = rules_on_truth([one, one], Truth(2 * torch.ones(4), 2 * torch.ones(4), ones, 10**9))
    assert [apart["sum's true u"], apart["u from true u, cumulative"]] == pytest.approx([1 / 3, 1 / 3])
    assert apart["u from true u, dempster"] == pytest.approx(1 / 4)


def test_averages_leave_out_what_is_not_defined_and_logarithms_give_geometric_means():
    found = averages([{"x": 1.0, "log error, y": math.log(2)}, {"x": math.nan, "log error, y": math.log(8)}])
    assert found == {"x": 1.0, "error, y, geometric": pytest.approx(4)}


def test_half_width_and_rank_correlation():
    assert half_width(0.9) == pytest.approx(1.6449, abs=1e-4)
    x = torch.randn(50)
    assert rank_correlation(x, x.exp()) == pytest.approx(1)
    assert math.isnan(rank_correlation(x[:7], x[:7]))
