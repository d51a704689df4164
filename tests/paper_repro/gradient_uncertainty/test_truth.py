import torch

from paper_repro.gradient_uncertainty.truth import Truth, find_truth, passes
from tests.paper_repro.gradient_uncertainty.made import observe, truth_of


def test_truth_is_mean_and_unbiased_variance():
    rows = torch.randn(20, 2, 5)
    truth = Truth.of(rows, rows[0])
    torch.testing.assert_close(truth.gradient, rows.mean(0))
    torch.testing.assert_close(truth.noise, rows.var(0))
    assert bool(truth.alive.all())
    assert not bool(truth.sparse.any())


def test_rounding_is_no_gradient_and_rare_ones_are_sparse():
    rows = torch.randn(20, 1, 3)
    rows[:, 0, 0] *= 1e-9
    rows[:15, 0, 1] = 0
    truth = Truth.of(rows, rows[0])
    assert truth.alive[0].tolist() == [False, True, True]
    assert truth.sparse[0].tolist() == [False, True, False]


def test_known_noise_is_stated_for_the_mean_of_a_batch():
    truth = truth_of(torch.randn(2, 5), torch.rand(2, 5))
    moments = truth.known_noise(observe(truth, 3))
    torch.testing.assert_close(moments.noise, truth.noise.expand(3, 2, 5))


def test_uncertainty_and_distance():
    truth = Truth(torch.ones(1, 4), torch.full((1, 4), 3.0), torch.zeros(1, 4), torch.zeros(1, 4), 9)
    assert float(truth.uncertainty) == 0.75
    assert float(truth.distance) == (1 / 3) ** 0.5


def test_passes_take_every_sample_equally_often():
    found = passes(20, 5, 7, seed=3)
    assert len(found) == 8
    assert torch.cat(found).bincount().tolist() == [2] * 20
    assert not torch.equal(found[0], found[4])


def test_find_truth_takes_all_samples_as_the_whole():
    data = torch.randn(12, 2, 3)
    truth = find_truth(lambda indices: data[indices].mean(0), passes(12, 4, 6, 0), 12)
    torch.testing.assert_close(truth.whole, data.mean(0))
    torch.testing.assert_close(truth.gradient, data.mean(0))
    assert truth.batches == 6
