import numpy as np
import pytest
import torch
from scipy import stats

from paper_repro.gradient_uncertainty.measures import (
    calibration_error,
    central_coverage,
    kept_mean,
    known_mean,
    quantile_of,
    rank_correlation,
)


def test_rank_correlation_is_spearman_s_among_the_kept():
    first, second = torch.randn(3, 40), torch.randn(3, 40)
    kept = torch.rand(3, 40) < 0.7
    found = rank_correlation(first, second, kept)
    for row in range(3):
        expected = stats.spearmanr(first[row, kept[row]], second[row, kept[row]]).statistic
        assert float(found[row]) == pytest.approx(expected)


def test_rank_correlation_sees_only_order():
    x = torch.rand(20)
    every = torch.ones(20, dtype=torch.bool)
    assert float(rank_correlation(x, x.exp(), every)) == pytest.approx(1)
    assert float(rank_correlation(x, -x, every)) == pytest.approx(-1)
    assert rank_correlation(x, x, torch.arange(20) < 1).isnan()


def test_coverage_counts_the_kept_within():
    error = torch.tensor([0.5, -1.5, 2.5, 0.0])
    kept = torch.tensor([True, True, True, False])
    assert float(central_coverage(error, torch.ones(4), kept, 2.0)) == pytest.approx(2 / 3)


@pytest.mark.parametrize("df", [None, 3.0, 30.0])
def test_quantile_holds_its_level(df: float | None):
    law = stats.norm() if df is None else stats.t(df)
    width = quantile_of(0.8, df)
    assert law.cdf(width) - law.cdf(-width) == pytest.approx(0.8)


def test_calibration_error_of_worked_bins():
    probability = torch.tensor([0.12, 0.18, 0.95, 1.0])
    happened = torch.tensor([False, True, True, True])
    # bins: (0.30 stated, 1 seen) and (1.95 stated, 2 seen), of 4
    assert calibration_error(probability, happened) == pytest.approx((0.70 + 0.05) / 4)


def test_calibration_error_against_a_loop():
    probability, happened = torch.rand(500), torch.rand(500) < 0.5
    p, h = probability.numpy(), happened.numpy()
    total = 0.0
    for low in np.arange(10) / 10:
        inside = (p >= low) & (p < low + 0.1)
        if inside.any():
            total += inside.mean() * abs(p[inside].mean() - h[inside].mean())
    assert calibration_error(probability, happened) == pytest.approx(total)


def test_means_leave_out_what_is_not_there():
    values = torch.tensor([[1.0, 5.0], [2.0, 7.0]])
    kept = torch.tensor([[True, False], [False, False]])
    means = kept_mean(values, kept)
    assert float(means[0]) == 1
    assert means[1].isnan()
    assert known_mean(means) == 1
