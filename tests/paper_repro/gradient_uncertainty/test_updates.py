import pytest
import torch

from bogc.calibration import SCALINGS
from paper_repro.gradient_uncertainty.judging import Judged, judge
from paper_repro.gradient_uncertainty.updates import (
    batch_mean_scores,
    fused_sign_scores,
    reference_scores,
    scaled,
    shared_layers,
    update_scores,
)
from tests.paper_repro.gradient_uncertainty.made import observe, truth_of

LAYERS = {"a": [0, 1], "b": [2, 3]}


def judged(noise: float, dimensions: int = 2000) -> Judged:
    truth = truth_of(torch.randn(4, dimensions), torch.full((4, dimensions), noise))
    return judge(("made", "fixed", "normal"), observe(truth, 2), {}, truth)


@pytest.mark.parametrize("name", SCALINGS)
def test_scaled_is_what_the_scaling_does_to_each_batch(name: str):
    made, plain = ({"a": torch.randn(3, 5), "b": torch.randn(3, 4)} for _ in range(2))
    made["b"][1] = 0
    found = scaled(name, made, plain)
    for i in range(3):
        expected = SCALINGS[name]()({k: v[i] for k, v in made.items()}, {k: v[i] for k, v in plain.items()})
        for block, value in expected.items():
            torch.testing.assert_close(found[block][i], value)


def test_certain_sources_give_the_plain_sum():
    scores = update_scores(judged(1e-6), LAYERS, every=True)
    errors = {key: value for key, value in scores.items() if key.startswith("squared error")}
    assert len(errors) == 27
    # the sign frame's agreement is |b+ - b-|: a true gradient near zero keeps a doubt about its sign
    sure = [value for key, value in errors.items() if "agreement" not in key and "precision" not in key]
    assert sure == pytest.approx([1.0] * len(sure), rel=1e-2)


def test_known_noise_and_scale_shrink_the_error_as_theory_says():
    # g ~ N(0, 1), noise 1: the posterior mean of each source has error 1/2 where the batch gradient has 1
    scores = update_scores(judged(1.0), LAYERS, every=True)
    label = "squared error | made | fixed | normal | equal, none, unscaled"
    # 8 sums of 2000 squares: relative sd below .02 of each ratio, the tolerance is over 6 of them
    assert scores[label] == pytest.approx(0.5, abs=0.06)
    same_noise = scores["cosine gained | made | fixed | normal | equal, none"]
    assert same_noise == pytest.approx(0, abs=1e-9)


def test_batch_means_under_equal_belief_are_the_plain_sum_at_its_length():
    scores = batch_mean_scores(judged(1.0), LAYERS)
    label = "made | fixed | normal | batch means"
    # one noise and scale for all: belief is the same everywhere, and only conservatism, by the sign, differs
    assert scores[f"squared error | {label}, match-each-block"] == pytest.approx(1, abs=0.1)
    assert scores[f"squared error | {label}, unscaled"] < 1
    assert scores[f"cosine gained | {label}"] == pytest.approx(0, abs=0.05)


def test_the_best_factor_is_at_least_as_good_as_none():
    scores = reference_scores(judged(1.0), LAYERS)
    # signal 2, noise 2: factor 1/2 leaves half of the error
    assert scores["squared error | best factor"] == pytest.approx(0.5, abs=0.05)
    assert scores["cosine | plain sum"] == pytest.approx(0.5**0.5, abs=0.05)


def test_summed_posteriors_are_calibrated_where_all_is_known():
    scores = fused_sign_scores(judged(1.0, 10_000), LAYERS)
    # 40,000 pairs in ten bins; see the test of single sources
    assert scores["fused sign error, summed posteriors | made | fixed | normal"] < 0.02
    assert scores["fused sign error, dempster | made | fixed | normal"] < 0.2


def test_layers_of_one_source_or_without_gradient_are_left_out():
    pairs = [("a", "fusion"), ("a", "x"), ("b", "fusion"), ("c", "fusion"), ("c", "y")]
    alive = torch.ones(5, 3, dtype=torch.bool)
    alive[3:] = False
    assert shared_layers(pairs, alive) == {"a": [0, 1]}
