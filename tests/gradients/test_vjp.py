import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from bogc.gradients import vector_jacobian_products
from bogc.gradients.vjp import group_cotangents, mean_cotangent, sample_cotangents
from tests.networks import NETWORKS, PlainNetwork, RichNetwork, batch, losses_of


def rows_of(
    losses: Tensor, network: nn.Module, cotangents: Tensor, vectorize: bool = False
) -> dict[str, Tensor]:
    names, parameters = zip(*network.named_parameters(), strict=True)
    rows = vector_jacobian_products(losses, parameters, cotangents, vectorize=vectorize)
    return {name: row for name, row in zip(names, rows, strict=True) if row is not None}


def assert_rows_close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, rows in expected.items():
        torch.testing.assert_close(actual[name], rows, rtol=1e-10, atol=1e-13, msg=name)


@pytest.mark.parametrize("samples", [1, 2, 7, 12])
@pytest.mark.parametrize("network", ["plain", "rich"])
def test_mean_of_rows_is_the_batch_gradient(network, samples):
    model = NETWORKS[network]()
    if samples == 1:
        model.eval()  # BatchNorm cannot train on one sample
    for loss in losses_of(model, samples).values():
        expected = rows_of(loss.mean().unsqueeze(0), model, torch.ones(1, 1))
        per_sample = rows_of(loss, model, sample_cotangents(loss))
        assert_rows_close({n: r.mean(0, keepdim=True) for n, r in per_sample.items()}, expected)
        assert_rows_close(rows_of(loss, model, mean_cotangent(loss)), expected)


@pytest.mark.parametrize("groups", [2, 3, 5, 7])
@pytest.mark.parametrize("network", ["plain", "rich"])
def test_weighted_mean_of_group_rows_is_the_batch_gradient(network, groups):
    model = NETWORKS[network]()
    for loss in losses_of(model, 7).values():
        expected = rows_of(loss.mean().unsqueeze(0), model, torch.ones(1, 1))
        sizes = torch.tensor([len(range(c, 7, groups)) for c in range(groups)]) / 7.0
        grouped = rows_of(loss, model, group_cotangents(loss, groups))
        assert_rows_close(
            {n: torch.tensordot(sizes, r, dims=1).unsqueeze(0) for n, r in grouped.items()}, expected
        )


@pytest.mark.parametrize("network", ["plain", "rich"])
def test_loop_and_vectorised_agree(network):
    model = NETWORKS[network]()
    for loss in losses_of(model, 6).values():
        for cotangents in (sample_cotangents(loss), group_cotangents(loss, 4), mean_cotangent(loss)):
            assert_rows_close(
                rows_of(loss, model, cotangents, vectorize=True), rows_of(loss, model, cotangents)
            )


def test_per_sample_gradients_equal_those_of_torch_func():
    network = PlainNetwork()
    inputs, targets = batch()
    parameters = {name: p.detach() for name, p in network.named_parameters()}

    def loss_of_one(values: dict[str, Tensor], image: Tensor, sound: Tensor, target: Tensor) -> Tensor:
        one = {"image": image.unsqueeze(0), "sound": sound.unsqueeze(0)}
        logits = functional_call(network, values, (one,))
        return functional.cross_entropy(logits["fusion"], target.unsqueeze(0))

    oracle = vmap(grad(loss_of_one), in_dims=(None, 0, 0, 0))(
        parameters, inputs["image"], inputs["sound"], targets
    )
    loss = losses_of(network)["fusion"]
    actual = rows_of(loss, network, sample_cotangents(loss))
    assert_rows_close(actual, {name: oracle[name] for name in actual})


def test_with_batch_norm_they_equal_a_hand_written_loop():
    network = RichNetwork()
    loss = losses_of(network)["fusion"]
    actual = rows_of(loss, network, sample_cotangents(loss))
    for index in range(len(loss)):  # a fresh forward pass of the whole batch for each sample
        network.zero_grad()
        losses_of(network)["fusion"][index].backward()
        expected = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        assert_rows_close({name: rows[index] for name, rows in actual.items()}, expected)


def test_batch_norm_lets_every_sample_see_the_others():
    """The property that sample-by-sample methods lose: other samples change this one's gradient."""
    network = RichNetwork()
    whole = losses_of(network, 12)["image"]
    inputs, targets = batch(12)
    logits = network({name: value[:6] for name, value in inputs.items()})["image"]
    half = functional.cross_entropy(logits, targets[:6], reduction="none")
    first = rows_of(whole, network, sample_cotangents(whole)[:1])["image.0.weight"]
    second = rows_of(half, network, sample_cotangents(half)[:1])["image.0.weight"]
    assert not torch.allclose(first, second, rtol=1e-3)


def test_parameters_without_gradient_are_none_and_the_graph_survives():
    network = RichNetwork()
    losses = losses_of(network)
    for _ in range(2):
        for source, loss in losses.items():
            reached = rows_of(loss, network, mean_cotangent(loss))
            assert not any(name.startswith("unused") for name in reached)
            assert ("tied.weight" in reached) == (source == "fusion")


@pytest.mark.parametrize("vectorize", [False, True])
def test_no_gradient_is_written(vectorize):
    network = RichNetwork()
    loss = losses_of(network)["fusion"]
    rows_of(loss, network, sample_cotangents(loss), vectorize)
    assert all(p.grad is None for p in network.parameters())


def test_cotangents_are_the_matrices_they_claim_to_be():
    losses = torch.zeros(5)
    assert torch.equal(sample_cotangents(losses), torch.eye(5))
    assert torch.equal(mean_cotangent(losses), torch.full((1, 5), 0.2))
    expected = torch.tensor([[1 / 3, 0, 1 / 3, 0, 1 / 3], [0, 0.5, 0, 0.5, 0]])
    torch.testing.assert_close(group_cotangents(losses, 2), expected)
