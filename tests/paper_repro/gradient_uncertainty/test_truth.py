import pytest
import torch
from torch import nn

from bogc.gradients import ModalityPartition
from paper_repro.gradient_uncertainty.truth import (
    Truth,
    correlation,
    find_truth,
    gradients,
    reference_batches,
    untouched,
)


def test_truth_is_mean_and_unbiased_variance_and_rounding_is_no_gradient():
    rows = torch.randn(20, 5)
    rows[:, 0] *= 1e-9
    truth = Truth.of(rows)
    torch.testing.assert_close(truth.gradient, rows.mean(0))
    torch.testing.assert_close(truth.noise, rows.var(0))
    assert truth.alive.tolist() == [False, True, True, True, True]


def test_signal_is_found_without_the_noise_that_is_left_in_the_mean():
    """Mean over 50,000 dimensions of true square 4 and noise 9: standard error .03, allowed five times."""
    gradient = 2 * torch.randn(50_000)
    truth = Truth.of(gradient + 3 * torch.randn(10, 50_000))
    assert float(truth.signal) == pytest.approx(4, abs=0.15)


def test_the_three_readings_of_true_u():
    truth = Truth(torch.ones(2), torch.tensor([1.0, 9.0]), torch.ones(2, dtype=torch.bool), 10**9)
    found = truth.uncertainties()
    assert found["ratio"] == pytest.approx(5 / 6)
    assert found["flat"] == pytest.approx((1 / 2 + 9 / 10) / 2)
    assert found["root"] == pytest.approx((1 / 1.5 + 9 / 10.5) / 2)


def test_layers_without_a_gradient_are_left_out_and_sums_need_all_losses():
    def measure(indices: torch.Tensor) -> dict[tuple[str, str], torch.Tensor]:
        shared = torch.randn(6)
        noise = {"a": shared + torch.randn(6), "b": shared + torch.randn(6)}
        found = {(source, "both"): value for source, value in noise.items()}
        return found | {("a", "half"): torch.randn(6), ("b", "half"): 1e-12 * torch.randn(6)}

    truths = find_truth(measure, [torch.tensor([0])] * 400)
    assert set(truths.pairs) == {("a", "both"), ("b", "both"), ("a", "half")}
    assert set(truths.sums) == set(truths.correlations) == {"both"}
    assert truths.correlations["both"] == pytest.approx(0.5, abs=0.1)
    assert float(truths.sums["both"].noise.mean()) == pytest.approx(6, rel=0.2)


def test_correlation_counts_kept_dimensions_only():
    rows = torch.randn(30, 4)
    other = torch.stack([rows[:, 0], -rows[:, 1], rows[:, 2], rows[:, 3]], 1)
    kept = torch.tensor([True, True, False, False])
    assert correlation(rows, other, kept) == pytest.approx(0)


def test_gradients_are_those_of_the_mean_loss_by_loss_and_layer():
    net = nn.Linear(3, 2)
    partition = ModalityPartition({"a": net})
    loss = net(torch.randn(5, 3)).square().sum(1)
    [expected] = torch.autograd.grad(loss.mean(), [net.weight], retain_graph=True)
    found = gradients({"fusion": loss, "a": 2 * loss}, partition)
    assert [source for source, _ in found] == ["fusion", "a"]
    torch.testing.assert_close(found["fusion", "a"][:6], expected.flatten())
    torch.testing.assert_close(found["a", "a"], 2 * found["fusion", "a"])


def test_batches_are_drawn_anew_and_statistics_put_back():
    found = reference_batches(20, 5, 7, seed=3)
    assert all(len(set(batch.tolist())) == 5 for batch in found)
    assert not torch.equal(found[0], found[4])
    norm = nn.BatchNorm1d(2)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with untouched(norm):
        norm(torch.randn(4, 2))
        assert not torch.equal(norm.running_mean, before["running_mean"])
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
