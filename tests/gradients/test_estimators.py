import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from bogc.errors import RangeError, TooFewSamplesError
from bogc.gradients import ESTIMATORS, Block, GradientMoments, Grouped, PerSample, Streaming
from bogc.gradients.estimators import Estimate
from tests.networks import NETWORKS, PlainNetwork, RichNetwork, losses_of

Network = PlainNetwork | RichNetwork


def flat_gradient(loss: Tensor, block: Block) -> Tensor | None:
    """Oracle: autograd on a scalar, one block."""
    found = torch.autograd.grad(loss, block.parameters, retain_graph=True, allow_unused=True)
    if all(gradient is None for gradient in found):
        return None
    pairs = zip(block.parameters, found, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in pairs])


def oracle_rows(loss: Tensor, block: Block, groups: list[list[int]]) -> Tensor:
    return torch.stack([flat_gradient(loss[group].mean(), block) for group in groups])


def assert_moments(actual: GradientMoments, expected: GradientMoments) -> None:
    for name in ("mean", "scatter", "count", "degrees_of_freedom"):
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_mean_is_the_batch_gradient_of_every_block_the_loss_reaches(estimator, network):
    model = NETWORKS[network]()
    for loss in losses_of(model).values():
        means = ESTIMATORS[estimator]().estimate({"a": loss}, model.partition().blocks, {})["a"].means
        for block in model.partition().blocks:
            expected = flat_gradient(loss.mean(), block)
            assert (block.name in means) == (expected is not None)
            if expected is not None:
                torch.testing.assert_close(means[block.name], expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize("chunk", [1, 5, 100])
@pytest.mark.parametrize("network", NETWORKS)
def test_per_sample_moments_are_those_of_all_rows(network, chunk, vectorize):
    model = NETWORKS[network]()
    loss = losses_of(model, 11)["fusion"]
    moments = PerSample(chunk, vectorize).estimate({"a": loss}, model.partition().blocks, {})["a"].moments
    for block in model.partition().blocks:
        if block.name in moments:
            rows = oracle_rows(loss, block, [[i] for i in range(11)])
            assert_moments(moments[block.name], GradientMoments.from_samples(rows))


@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize("groups", [2, 4, 11])
@pytest.mark.parametrize("network", NETWORKS)
def test_grouped_moments_are_those_of_the_group_means(network, groups, vectorize):
    model = NETWORKS[network]()
    loss = losses_of(model, 11)["fusion"]
    moments = Grouped(groups, vectorize).estimate({"a": loss}, model.partition().blocks, {})["a"].moments
    members = [list(range(c, 11, groups)) for c in range(groups)]
    for block in model.partition().blocks:
        if block.name in moments:
            rows, sizes = oracle_rows(loss, block, members), [float(len(m)) for m in members]
            assert_moments(moments[block.name], GradientMoments.from_groups(rows, torch.tensor(sizes)))


def stream(network: Network, estimator: Streaming, steps: int) -> tuple[list[Estimate], list[Tensor]]:
    state, estimates, losses = {}, [], []
    for seed in range(steps):
        losses.append(losses_of(network, 6, seed)["fusion"])
        estimates.append(estimator.estimate({"a": losses[-1]}, network.partition().blocks, {"a": state})["a"])
        state = estimates[-1].state
    return estimates, losses


def test_streaming_noise_is_the_weighted_variance_of_past_batch_gradients():
    network = RichNetwork()
    estimates, losses = stream(network, Streaming(0.8, 3), 7)
    for block in network.partition().blocks:
        if block.name not in estimates[-1].moments:
            continue
        gradients = torch.stack([flat_gradient(loss.mean(), block) for loss in losses])
        weights = 0.8 ** np.arange(5, -1, -1)
        oracle = np.cov(gradients[:-1].numpy(), rowvar=False, aweights=weights)
        moments = estimates[-1].moments[block.name]
        torch.testing.assert_close(moments.noise, torch.tensor(np.diag(oracle)), rtol=1e-8, atol=1e-14)
        torch.testing.assert_close(moments.mean, gradients[-1], rtol=1e-9, atol=1e-13)
        effective = weights.sum() ** 2 / np.square(weights).sum()
        assert moments.degrees_of_freedom.item() == pytest.approx(effective - 1)
        assert moments.count.item() == 6


@pytest.mark.parametrize("warmup", [2, 5])
def test_streaming_reports_after_its_warmup(warmup):
    estimates, _ = stream(PlainNetwork(), Streaming(0.9, warmup), warmup + 2)
    assert [bool(e.moments) for e in estimates] == [False] * warmup + [True] * 2
    assert all(e.means for e in estimates)


def test_the_current_batch_is_not_in_its_own_variance():
    network = PlainNetwork()
    blocks = network.partition().blocks
    state = stream(network, Streaming(), 6)[0][-1].state
    noises = []
    for scale in (1.0, 100.0):
        estimate = Streaming().estimate(
            {"a": scale * losses_of(network, 6, 99)["fusion"]}, blocks, {"a": state}
        )["a"]
        noises.append(estimate.moments["fused"].noise)
    assert torch.equal(*noises)


@pytest.mark.parametrize("estimator", [PerSample(), Grouped(), Streaming()], ids=lambda e: type(e).__name__)
def test_estimating_changes_nothing(estimator):
    network = RichNetwork()
    blocks = network.partition().blocks
    state = stream(network, Streaming(), 6)[0][-1].state
    before = copy.deepcopy(state)
    estimate = estimator.estimate({"a": losses_of(network)["image"]}, blocks, {"a": state})["a"]
    assert state.keys() == before.keys()
    for name, old in before.items():
        for field, value in old.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(state[name][field]))
    assert all(p.grad is None for p in network.parameters())
    assert not any(mean.requires_grad for mean in estimate.means.values())


def test_streaming_keeps_the_state_of_blocks_that_the_loss_does_not_reach():
    network = RichNetwork()
    blocks = network.partition().blocks
    state = stream(network, Streaming(), 3)[0][-1].state
    following = Streaming().estimate({"a": losses_of(network)["image"]}, blocks, {"a": state})["a"].state
    assert following["sound"] is state["sound"]
    assert following["image.0"]["steps"] == state["image.0"]["steps"] + 1


def test_too_few_samples_are_refused_with_a_remedy():
    network = PlainNetwork()
    blocks, losses = network.partition().blocks, losses_of(network, 3)["fusion"]
    with pytest.raises(TooFewSamplesError, match=r"PerSample needs at least 2.*found 1\. .*Streaming"):
        PerSample().estimate({"a": losses[:1]}, blocks, {})["a"]
    with pytest.raises(TooFewSamplesError, match=r"Grouped\(4\) needs at least 4 samples.*found 3"):
        Grouped(4).estimate({"a": losses}, blocks, {})["a"]
    Grouped(3).estimate({"a": losses}, blocks, {})["a"]
    PerSample().estimate({"a": losses[:2]}, blocks, {})["a"]
    Streaming().estimate({"a": losses[:1]}, blocks, {})["a"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerSample(0), "chunk must be at least 1; found 0"),
        (lambda: Grouped(1), "groups must be at least 2; found 1"),
        (lambda: Streaming(0.0), r"decay must lie in \(0, 1\)"),
        (lambda: Streaming(1.0), r"decay must lie in \(0, 1\)"),
        (lambda: Streaming(float("nan")), r"decay must lie in \(0, 1\)"),
        (lambda: Streaming(0.9, 1), "warmup must be at least 2"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RangeError, match=message):
        make()


@pytest.mark.parametrize("estimator", [PerSample(), Grouped(2)], ids=lambda e: type(e).__name__)
def test_float32_stays_float32(estimator):
    network = RichNetwork().float()
    estimate = estimator.estimate({"a": losses_of(network)["fusion"]}, network.partition().blocks, {})["a"]
    for moments in estimate.moments.values():
        assert moments.mean.dtype == moments.variance.dtype == moments.count.dtype == torch.float32
