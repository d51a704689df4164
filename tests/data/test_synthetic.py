import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from bogc.data import SyntheticModality, bayes_accuracy, load_synthetic, make_synthetic
from bogc.data.synthetic import DEFAULT
from bogc.errors import DataError, RangeError

MODALITIES = st.builds(
    SyntheticModality, width=st.integers(5, 8), signal=st.floats(0, 4), noise=st.floats(0.2, 3)
)


class TestBayesAccuracy:
    @given(MODALITIES)
    def test_two_classes_in_closed_form(self, modality):
        expected = norm.cdf(modality.signal / modality.noise / math.sqrt(2))
        assert bayes_accuracy(2, modality) == pytest.approx(expected, abs=1e-8)

    @given(st.integers(2, 5), st.lists(MODALITIES, max_size=3), MODALITIES)
    def test_another_modality_never_hurts(self, classes, modalities, another):
        alone, together = bayes_accuracy(classes, *modalities), bayes_accuracy(classes, *modalities, another)
        assert 1 / classes - 1e-8 <= alone <= together + 1e-8 <= 1 + 2e-8

    @given(st.integers(2, 5), MODALITIES, st.floats(0.1, 10))
    def test_only_the_ratio_of_signal_and_noise_counts(self, classes, modality, factor):
        scaled = SyntheticModality(9, factor * modality.signal, factor * modality.noise)
        assert bayes_accuracy(classes, scaled) == pytest.approx(bayes_accuracy(classes, modality), abs=1e-8)

    @pytest.mark.parametrize("classes", [2, 3, 10])
    def test_without_information_it_is_a_guess(self, classes):
        assert bayes_accuracy(classes) == pytest.approx(1 / classes, abs=1e-8)
        assert bayes_accuracy(classes, SyntheticModality(10, 0.0)) == pytest.approx(1 / classes, abs=1e-8)

    def test_an_enormous_signal(self):
        assert bayes_accuracy(3, SyntheticModality(3, 1e6)) == pytest.approx(1.0, abs=1e-8)

    @pytest.mark.parametrize("classes", [2, 4])
    @pytest.mark.parametrize("names", [["strong"], ["weak"], ["faint"], ["weak", "faint", "strong"]])
    def test_it_is_how_often_the_true_posterior_is_right(self, classes, names):
        # Within 4.5 standard errors: each of these eight comparisons fails for one seed in 150,000.
        random, draws = np.random.RandomState(3), 40_000
        targets = np.arange(draws) % classes
        log_posterior = np.zeros((draws, classes))
        for modality in (DEFAULT[name] for name in names):
            means = modality.signal * np.linalg.qr(random.standard_normal((modality.width, classes)))[0].T
            x = means[targets] + modality.noise * random.standard_normal((draws, modality.width))
            for index, mean in enumerate(means):
                log_posterior[:, index] += norm.logpdf(x, mean, modality.noise).sum(axis=1)
        expected = bayes_accuracy(classes, *(DEFAULT[name] for name in names))
        error = math.sqrt(expected * (1 - expected) / draws)
        assert abs((log_posterior.argmax(axis=1) == targets).mean() - expected) < 4.5 * error


class TestMakeSynthetic:
    @settings(max_examples=20)
    @given(st.integers(2, 5), st.integers(0, 2**32 - 1), MODALITIES)
    def test_the_seed_decides_everything(self, classes, seed, modality):
        first, again, other = (
            make_synthetic(20, classes, {"a": modality}, each) for each in (seed, seed, seed ^ 1)
        )
        assert torch.equal(first.inputs["a"], again.inputs["a"])
        assert not torch.equal(first.inputs["a"], other.inputs["a"])
        assert first.targets.tolist() == [index % classes for index in range(20)]

    @pytest.mark.parametrize("noise", [0.5, 2.0])
    def test_mean_and_noise_are_those_asked_for(self, noise):
        # 36 means and 9 products of them within 5 standard errors: fails for one seed in 35,000.
        modality = SyntheticModality(12, 3.0, noise)
        dataset = make_synthetic(15_000, 3, {"a": modality}, seed=1)
        x = dataset.inputs["a"].double()
        means = torch.stack([x[dataset.targets == index].mean(0) for index in range(3)])
        gram = means @ means.T
        tolerance = 5 * noise / math.sqrt(5000) * 3.0 * 2 + 12 * 25 * noise**2 / 5000
        torch.testing.assert_close(gram, 9 * torch.eye(3), atol=tolerance, rtol=0)
        residual = x - means[dataset.targets]
        assert float(residual.std()) == pytest.approx(noise, rel=0.02)

    def test_noise_does_not_repeat_between_modalities(self):
        modality = SyntheticModality(4, 0.0)
        inputs = make_synthetic(5000, 2, {"a": modality, "b": modality}, seed=0).inputs
        correlation = np.corrcoef(inputs["a"].T.numpy(), inputs["b"].T.numpy())[:4, 4:]
        assert np.abs(correlation).max() < 5 / math.sqrt(5000)  # 16 of them: fails once in 100,000 seeds

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"samples": 2}, "samples must be at least 3; found 2"),
            ({"classes": 1}, "classes must be at least 2; found 1"),
            ({"classes": 6}, r"modalities\['a'\]\.width must be at least 6, the number of classes; found 5"),
            ({"seed": -1}, r"seed must lie in .*; found -1"),
            ({"seed": 2**32}, "seed must lie in"),
        ],
    )
    def test_numbers_out_of_range(self, change, match):
        arguments = {"samples": 20, "classes": 3, "modalities": {"a": SyntheticModality(5, 1.0)}, "seed": 0}
        with pytest.raises(RangeError, match=match):
            make_synthetic(**arguments | change)

    def test_no_modality(self):
        with pytest.raises(DataError, match="modalities must hold at least one"):
            make_synthetic(20, 3, {}, 0)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ((0, 1.0), "width must be at least 1; found 0"),
        ((3, -1.0), "signal must be zero or more, and finite; found -1"),
        ((3, math.inf), "signal must be zero or more"),
        ((3, math.nan), "signal must be zero or more"),
        ((3, 1.0, 0.0), "noise must be positive and finite; found 0"),
        ((3, 1.0, math.nan), "noise must be positive"),
    ],
)
def test_a_modality_out_of_range(fields, match):
    with pytest.raises(RangeError, match=match):
        SyntheticModality(*fields)


def test_the_registered_problem_is_as_documented():
    accuracies = [bayes_accuracy(4, modality) for modality in DEFAULT.values()]
    assert [round(each, 2) for each in accuracies] == [0.96, 0.70, 0.33]
    assert round(bayes_accuracy(4, *DEFAULT.values()), 2) == 0.98
    assert torch.bincount(load_synthetic().targets).tolist() == [500] * 4
