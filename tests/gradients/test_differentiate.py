"""Separate backward passes give what autograd gives, whatever the network is made of."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, rnn
from torch.utils.checkpoint import checkpoint

from bogc.errors import LossError, UnsuitableError
from bogc.gradients import gradient, gradient_rows, leaves, mixes_processes
from bogc.gradients.differentiate import group_cotangents, mean_cotangent, sample_cotangents
from tests.networks import NETWORKS, PlainNetwork, RichNetwork, batch, losses_of

SAMPLES, TOKENS, WIDE = 5, 4, 6


class Recurrent(nn.Module):
    """Reads tokens [N, T, C] in turn; packed: only the first ones of each sample."""

    def __init__(self, packed: bool) -> None:
        super().__init__()
        self.cell, self.packed = nn.LSTM(WIDE, WIDE, batch_first=True, bidirectional=True), packed

    def forward(self, tokens: Tensor) -> Tensor:
        if not self.packed:
            return self.cell(tokens)[0].flatten(1)
        lengths = torch.tensor([4, 3, 3, 2, 1])
        out, _ = self.cell(rnn.pack_padded_sequence(tokens, lengths, batch_first=True))
        return rnn.pad_packed_sequence(out, batch_first=True)[0].flatten(1)


class Attention(nn.Module):
    """With dropout of its weights, and a position for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(WIDE, 2, dropout=0.5, batch_first=True)
        self.position = nn.Parameter(torch.randn(TOKENS, WIDE))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.position
        return self.attend(tokens, tokens, tokens, need_weights=False)[0].flatten(1)


class Frames(nn.Module):
    """Three-dimensional convolutions, forward and transposed, over frames [N, 1, T, C, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv3d(1, 2, 2), nn.ConvTranspose3d(2, 1, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.up(self.down(tokens.unsqueeze(1).unsqueeze(-1).expand(-1, -1, -1, -1, 2))).flatten(1)


class Words(nn.Module):
    """An embedding with sparse gradients."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 3, sparse=sparse)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.table((tokens * 10).long() % 7).flatten(1)


class Called(nn.Module):
    """Calls a layer with weights computed from another's."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(WIDE, 3), nn.Parameter(torch.ones(3, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        weights = {"weight": self.scale * self.layer.weight, "bias": self.layer.bias.exp()}
        return functional_call(self.layer, weights, (tokens,)).flatten(1)


class Checkpointed(nn.Module):
    """Computed again on the way back."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.inner, self.reentrant = nn.Sequential(nn.Linear(WIDE, WIDE), nn.Tanh(), nn.Dropout()), reentrant

    def forward(self, tokens: Tensor) -> Tensor:
        return checkpoint(self.inner, tokens, use_reentrant=self.reentrant).flatten(1)


def flat(*layers: nn.Module) -> nn.Module:
    """Layers over [N, T, C], then [N, T * C]."""
    return nn.Sequential(*layers, nn.Flatten())


def pruned() -> nn.Module:
    layer = nn.Linear(WIDE, 3)
    prune.random_unstructured(layer, "weight", 0.5)
    return flat(layer)


def hooked() -> nn.Module:
    """A hook doubles one weight's gradient, another changes the output."""
    layer = nn.Linear(WIDE, 3)
    layer.weight.register_hook(lambda g: 2 * g)
    layer.register_forward_hook(lambda module, inputs, output: output.tanh())
    layer.register_full_backward_hook(lambda module, before, after: tuple(3 * g for g in before))
    return flat(nn.Linear(WIDE, WIDE), layer)


def replaced() -> nn.Module:
    layer = nn.Linear(WIDE, 3)
    layer.forward = lambda tokens: functional.linear(tokens, layer.weight.sin())
    return flat(layer)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: flat(nn.BatchNorm1d(TOKENS), nn.Linear(WIDE, 3), nn.BatchNorm1d(TOKENS)),
    "dropout": lambda: flat(nn.Linear(WIDE, WIDE), nn.Dropout(), nn.Linear(WIDE, 3)),
    "lstm": lambda: Recurrent(packed=False),
    "packed lstm": lambda: Recurrent(packed=True),
    "attention with dropout and positions": Attention,
    "convolutions in three dimensions": Frames,
    "parametric relu": lambda: flat(nn.Linear(WIDE, 3), nn.PReLU()),
    "root mean square norm": lambda: flat(nn.RMSNorm(WIDE), nn.Linear(WIDE, 3)),
    "weight norm": lambda: flat(parametrizations.weight_norm(nn.Linear(WIDE, 3))),
    "spectral norm": lambda: flat(parametrizations.spectral_norm(nn.Linear(WIDE, 3))),
    "pruned": pruned,
    "hooks": hooked,
    "a replaced forward": replaced,
    "functional call": Called,
    "sparse embedding": lambda: Words(sparse=True),
    "checkpoint": lambda: Checkpointed(reentrant=False),
}


def losses_through(module: nn.Module, heads: nn.ModuleList) -> tuple[Tensor, Tensor]:
    """Losses [N] of two heads on one trunk, with one draw of all dropout."""
    torch.manual_seed(3)
    features = module(torch.randn(SAMPLES, TOKENS, WIDE)).tanh()
    return heads[0](features).square().mean(1), heads[1](features).abs().mean(1)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_the_gradients_of_each_loss_that_backward_gives(name):
    torch.manual_seed(0)
    module = MODULES[name]().train()
    size = module(torch.randn(SAMPLES, TOKENS, WIDE)).shape[1]
    heads = nn.ModuleList([nn.Linear(size, 2), nn.Linear(size, 2)])
    parameters = [*module.parameters(), *heads.parameters()]
    buffers = {key: value.clone() for key, value in module.state_dict().items()}
    losses = losses_through(module, heads)
    found = [gradient(loss, parameters, mean_cotangent(loss)) for loss in losses]
    for index in range(2):
        module.load_state_dict(buffers)
        for parameter in parameters:
            parameter.grad = None
        losses_through(module, heads)[index].mean().backward()
        expected = {id(p): p.grad.to_dense() for p in parameters if p.grad is not None}
        assert found[index].keys() == expected.keys()
        assert {id(p) for p in parameters if id(p) in expected} == {id(p) for p in leaves([losses[index]])}
        for key, value in expected.items():
            torch.testing.assert_close(found[index][key], value, rtol=1e-10, atol=1e-13)
            assert found[index][key].layout is torch.strided


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("samples", [1, 2, 7])
def test_the_mean_of_rows_is_the_gradient_of_the_batch(network, samples):
    model = NETWORKS[network]()
    if samples == 1:
        model.eval()  # BatchNorm cannot train on one sample
    parameters = list(model.parameters())
    for loss in losses_of(model, samples).values():
        expected = gradient(loss, parameters, mean_cotangent(loss))
        rows = gradient_rows(loss, parameters, sample_cotangents(loss), vectorize=False)
        assert len(rows) == samples
        for key, value in expected.items():
            mean = torch.stack([row[key] for row in rows]).mean(0)
            torch.testing.assert_close(mean, value, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("network", NETWORKS)
def test_rows_one_by_one_and_vectorised_agree(network):
    model = NETWORKS[network]()
    parameters = list(model.parameters())
    for loss in losses_of(model, 6).values():
        for cotangents in (sample_cotangents(loss), group_cotangents(loss, 4)):
            slow = gradient_rows(loss, parameters, cotangents, vectorize=False)
            fast = gradient_rows(loss, parameters, cotangents, vectorize=True)
            for one, other in zip(slow, fast, strict=True):
                assert one.keys() == other.keys()
                for key, value in one.items():
                    torch.testing.assert_close(other[key], value, rtol=1e-10, atol=1e-13)


def test_rows_are_the_gradients_of_single_samples_where_no_layer_mixes_them():
    network = PlainNetwork()
    inputs, targets = batch()
    values = {name: p.detach() for name, p in network.named_parameters()}

    def loss_of_one(values: dict[str, Tensor], image: Tensor, sound: Tensor, target: Tensor) -> Tensor:
        one = {"image": image.unsqueeze(0), "sound": sound.unsqueeze(0)}
        return functional.cross_entropy(
            functional_call(network, values, (one,))["fusion"], target.unsqueeze(0)
        )

    oracle = vmap(grad(loss_of_one), in_dims=(None, 0, 0, 0))(
        values, inputs["image"], inputs["sound"], targets
    )
    loss = losses_of(network)["fusion"]
    rows = gradient_rows(loss, list(network.parameters()), sample_cotangents(loss), vectorize=False)
    for index, row in enumerate(rows):
        for name, parameter in network.named_parameters():
            if id(parameter) in row:
                torch.testing.assert_close(row[id(parameter)], oracle[name][index], rtol=1e-10, atol=1e-13)


def test_the_graph_survives_no_gradient_is_written_and_what_is_not_reached_is_absent():
    network = RichNetwork()
    parameters = list(network.parameters())
    losses = losses_of(network)
    for _ in range(2):
        for source, loss in losses.items():
            reached = gradient(loss, parameters, mean_cotangent(loss))
            assert id(network.unused.weight) not in reached
            assert (id(network.tied.weight) in reached) == (source == "fusion")
    assert all(p.grad is None for p in parameters)


def test_cotangents_are_what_they_claim_to_be():
    losses = torch.zeros(5)
    assert torch.equal(sample_cotangents(losses), torch.eye(5))
    assert torch.equal(mean_cotangent(losses), torch.full((5,), 0.2))
    assert torch.equal(mean_cotangent(losses, count=10, unit=4.0), torch.full((5,), 0.025))
    expected = torch.tensor([[1 / 3, 0, 1 / 3, 0, 1 / 3], [0, 0.5, 0, 0.5, 0]])
    torch.testing.assert_close(group_cotangents(losses, 2), expected)


def test_a_deep_graph_does_not_exhaust_the_stack():
    weight = nn.Parameter(torch.ones(2))
    value = weight
    for _ in range(5000):
        value = value * 1.0
    assert [id(leaf) for leaf in leaves([value])] == [id(weight)]
    assert leaves([torch.ones(2)]) == []


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_a_reentrant_checkpoint_is_refused_with_the_remedy():
    module, head = Checkpointed(reentrant=True), nn.Linear(TOKENS * WIDE, 1)
    tokens = torch.randn(SAMPLES, TOKENS, WIDE, requires_grad=True)
    loss = head(module(tokens)).square().mean(1)
    message = r"losses must be checkpointed .*checkpoint\(\.\.\., use_reentrant=False\)"
    with pytest.raises(UnsuitableError, match=message):
        leaves([loss])
    with pytest.raises(UnsuitableError, match=message):
        gradient(loss, [*head.parameters(), tokens], mean_cotangent(loss))


def test_a_graph_that_was_used_is_refused_with_the_remedy():
    network = PlainNetwork()
    loss = losses_of(network)["fusion"]
    loss.mean().backward()
    with pytest.raises(LossError, match=r"graph that was not used before; found .*Compute the losses anew"):
        gradient(loss, list(network.parameters()), mean_cotangent(loss))


def test_an_error_that_is_not_known_is_passed_on_as_it_is():
    loss = PlainNetwork().fused(torch.ones(2, 8)).mean(1)
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient(loss, [torch.ones(2)], mean_cotangent(loss))


def compiled(backend: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    module = nn.Sequential(nn.Linear(WIDE, WIDE), nn.Tanh(), nn.Linear(WIDE, 3), nn.Flatten())
    return module, torch.compile(module, backend=backend)


def twice(loss: Tensor, parameters: list[Tensor]) -> tuple[dict[int, Tensor], UnsuitableError | None]:
    """Gradients of the second of two passes, or why there are none."""
    try:
        return [gradient(loss, parameters, mean_cotangent(loss)) for _ in range(2)][1], None
    except UnsuitableError as error:
        return {}, error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("donated", [False, True])
def test_a_compiled_encoder_works_without_donated_buffers_and_else_the_remedy_is_named(donated):
    import torch._dynamo
    import torch._functorch.config as settings

    torch._dynamo.reset()
    module, called = compiled("aot_eager")
    tokens = torch.randn(SAMPLES, TOKENS, WIDE)
    parameters = list(module.parameters())
    plain = module(tokens).square().mean(1)
    expected = gradient(plain, parameters, mean_cotangent(plain))
    with settings.patch(donated_buffer=donated):
        loss = called(tokens).square().mean(1)
        found, error = twice(loss, parameters)
    torch._dynamo.reset()
    assert error is None or (donated and "torch._functorch.config.donated_buffer = False" in error.remedy)
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key], rtol=1e-10, atol=1e-13)
    assert error is not None or found.keys() == expected.keys()


def test_samples_of_other_processes_are_noticed_by_the_operation_that_fetches_them():
    class SumOverProcesses(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            return values.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    loss = losses_of(PlainNetwork())["fusion"]
    assert not mixes_processes({"fusion": loss})
    assert mixes_processes({"fusion": loss, "image": SumOverProcesses.apply(loss)})
