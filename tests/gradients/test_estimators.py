import pytest
import torch
from torch import Tensor, nn

from bogc.errors import RangeError, TooFewSamplesError
from bogc.gradients import (
    ESTIMATORS,
    Drawn,
    GradientGroup,
    GradientMoments,
    Grouped,
    ModalityPartition,
    MomentEstimator,
    PerSample,
    Successive,
)
from tests.networks import NETWORKS, PlainNetwork, RichNetwork, losses_of

Network = PlainNetwork | RichNetwork
DIRECT = [name for name, kind in ESTIMATORS.items() if not kind.needs_closure]
Pairs = dict[tuple[str, str], Tensor]
WITHIN = {
    "grouped": lambda n: [list(range(c, n, 4)) for c in range(4)],
    "per-sample": lambda n: [[i] for i in range(n)],
}


def flat_gradient(loss: Tensor, network: nn.Module, partition: ModalityPartition) -> dict[str, Tensor]:
    """Oracle: autograd on a scalar, block by block; blocks that the loss does not reach are absent."""
    parameters = partition.parameters
    found = dict(zip(
        map(id, parameters),
        torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True),
        strict=True,
    ))  # fmt: skip
    return {
        block.name: torch.cat([
            (torch.zeros_like(p) if found[id(p)] is None else found[id(p)]).reshape(-1)
            for p in block.parameters
        ])
        for block in partition.blocks
        if any(found[id(p)] is not None for p in block.parameters)
    }  # fmt: skip


def taken(groups: list[GradientGroup], values: str = "gradients") -> Pairs:
    return {pair: v for group in groups for pair, v in group.layout.take(getattr(group, values)).items()}


def assert_close(found: Pairs, expected: Pairs) -> None:
    assert found.keys() == expected.keys()
    for pair, value in expected.items():
        torch.testing.assert_close(found[pair], value, rtol=1e-9, atol=1e-13, msg=str(pair))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize("unit", [1.0, 0.25])
def test_gradients_are_those_of_the_mean_losses_over_the_unit(name, network, unit):
    model = NETWORKS[network]()
    partition = model.partition()
    losses = losses_of(model)
    groups = ESTIMATORS[name]().measure(losses, partition, unit, {})
    expected = {
        (source, block): value / unit
        for source, loss in losses.items()
        for block, value in flat_gradient(loss.mean(), model, partition).items()
    }
    assert_close(taken(groups), expected)
    for group in groups:
        assert group.counts == dict.fromkeys(losses, 12)
        assert (group.scatter is None) == (name == "successive") == (group.freedom is None)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("name", "chunk"), [("grouped", 4), ("per-sample", 1), ("per-sample", 5), ("per-sample", 100)]
)
def test_moments_within_a_batch_are_those_of_a_loop_over_its_parts(name, network, vectorize, chunk):
    model, samples, unit = NETWORKS[network](), 11, 0.5
    partition = model.partition()
    losses = losses_of(model, samples)
    estimator = Grouped(4, vectorize) if name == "grouped" else PerSample(chunk, vectorize)
    groups = estimator.measure(losses, partition, unit, {})
    means, scatters = {}, {}
    parts = WITHIN[name](samples)
    for source, loss in losses.items():
        rows = [flat_gradient(loss[part].mean() / unit, model, partition) for part in parts]
        for block in rows[0]:
            stacked = torch.stack([row[block] for row in rows])
            moments = GradientMoments.from_groups(stacked, torch.tensor([float(len(p)) for p in parts]))
            means[source, block], scatters[source, block] = moments.mean, moments.scatter
    assert_close(taken(groups), means)
    assert_close(taken(groups, "scatter"), scatters)
    assert all(group.freedom == {source: len(parts) - 1 for source in losses} for group in groups)


@pytest.mark.parametrize("estimator", [Grouped(3), PerSample(7)], ids=["grouped", "per-sample"])
def test_the_variance_of_one_sample_is_unbiased(estimator):
    """One weight a dimension and loss x_nd w_d: gradients are the samples, drawn with variance 4.

    Scatter / 4 is chi-square with its degrees of freedom f, in each of 60,000 dimensions: the mean of
    scatter / (4 f) has standard error sqrt(2 / (60,000 f)); 4.27 of those fail with probability 2e-5.
    """
    samples, dimensions = 10, 60_000
    weights = nn.ParameterList([nn.Parameter(torch.zeros(dimensions))])
    partition = ModalityPartition({"image": weights})
    loss = (1 + 2 * torch.randn(samples, dimensions)) @ weights[0]
    (group,) = estimator.measure({"fusion": loss}, partition, 1.0, {})
    freedom = group.freedom["fusion"]
    variance = group.scatter[0, :dimensions].mean().item() / freedom
    assert abs(variance / 4 - 1) < 4.27 * (2 / (dimensions * freedom)) ** 0.5


@pytest.mark.parametrize("name", DIRECT)
def test_sources_may_have_different_numbers_of_samples_and_may_be_absent(name):
    network = PlainNetwork()
    partition = network.partition()
    losses = {"fusion": losses_of(network)["fusion"], "sound": losses_of(network, 5)["sound"]}
    groups = ESTIMATORS[name]().measure(losses, partition, 1.0, {})
    expected = {
        (source, block): value
        for source, loss in losses.items()
        for block, value in flat_gradient(loss.mean(), network, partition).items()
    }
    assert_close(taken(groups), expected)
    assert groups[0].counts == {"fusion": 12, "sound": 5}
    assert {own for group in groups for own in group.layout.sources} == {
        ("fusion",), ("sound",), ("fusion", "sound"),
    }  # fmt: skip


def test_one_sample_is_enough_for_successive_moments_and_named_by_the_others():
    network = PlainNetwork()
    partition = network.partition()
    losses = {**losses_of(network), "sound": losses_of(network, 1)["sound"]}
    assert Successive().measure(losses, partition, 1.0, {})[0].counts["sound"] == 1
    message = r"PerSample on losses\['sound'\] needs at least 2 samples in a batch; found 1\. Drop the last"
    with pytest.raises(TooFewSamplesError, match=message):
        PerSample().measure(losses, partition, 1.0, {})
    message = r"Grouped\(3\) on losses\['sound'\] needs at least 3 samples in a batch; found 1\. .*Successive"
    with pytest.raises(TooFewSamplesError, match=message):
        Grouped(3).measure(losses, partition, 1.0, {})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", DIRECT)
def test_arithmetic_on_half_precision_parameters_is_in_float32(name, dtype):
    torch.manual_seed(1)
    layer = nn.Linear(4, 1, dtype=dtype)
    partition = ModalityPartition({"image": layer})
    inputs = torch.randn(8, 4).to(dtype)
    loss = layer(inputs).squeeze(1).float().square()
    (group,) = ESTIMATORS[name]().measure({"fusion": loss}, partition, 1.0, {})
    assert group.gradients.dtype == torch.float32
    assert group.scatter is None or group.scatter.dtype == torch.float32
    expected = torch.autograd.grad(loss.mean(), layer.weight, retain_graph=True)[0].float().flatten()
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(group.gradients[0, :4], expected, rtol=tolerance, atol=tolerance)


def test_successive_gradients_are_written_to_spare_memory_that_fits():
    network = PlainNetwork()
    partition = network.partition()
    first = Successive().measure(losses_of(network), partition, 1.0, {})
    spare = {group.layout.key: torch.full_like(group.gradients, 7.0) for group in first}
    places = {key: memory.data_ptr() for key, memory in spare.items()}
    second = Successive().measure(losses_of(network), partition, 1.0, spare)
    assert not spare
    for one, other in zip(first, second, strict=True):
        assert other.gradients.data_ptr() == places[other.layout.key]
        assert torch.equal(one.gradients, other.gradients)


def test_only_successive_moments_are_not_those_of_the_samples_of_a_batch():
    assert {name: kind.within_batch for name, kind in ESTIMATORS.items()} == {
        "successive": False, "grouped": True, "per-sample": True, "drawn": True,
    }  # fmt: skip


def test_every_estimator_is_made_from_settings():
    settings = {"decay": 0.5, "groups": 3, "draws": 4, "damping": 2.0, "draw_seed": 5, "heads": None}
    assert [kind.from_settings(settings) for kind in ESTIMATORS.values()] == [
        Successive(0.5), Grouped(3), PerSample(), Drawn(4, 2.0, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Successive(0.0), r"decay must lie in \(0, 1\); found 0.0. Use 0.95"),
        (lambda: Successive(moderation=0.0), "moderation must be positive and finite; found 0.0. Use 10"),
        (lambda: Successive(fast=1.0), r"fast must lie in \(0, 1\); found 1.0. Use 0.8"),
        (lambda: Grouped(1), "groups must be at least 2; found 1. Use 2, 4 or 8"),
        (lambda: PerSample(0), "chunk must be at least 1; found 0. Use 16"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RangeError, match=message):
        make()


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        MomentEstimator()
