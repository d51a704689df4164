"""Layers that other libraries stumble over: what autograd gives is what is calibrated."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from bogc.methods import BOGC, UnimodalSum

from .problems import BALANCERS, Pair, batch, cross_entropies, losses_of, single, train


class Last(nn.Module):
    """[N, T, 5] -> [N, 4] by an RNN of some kind, the last output."""

    def __init__(self, kind: type[nn.Module], packed: bool = False) -> None:
        super().__init__()
        self.rnn, self.packed = kind(5, 4, batch_first=True), packed

    def forward(self, x: Tensor) -> Tensor:
        if self.packed:
            lengths = torch.arange(len(x)) % x.shape[1] + 1
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            out = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]
            return out[torch.arange(len(x)), lengths - 1]
        return self.rnn(x)[0][:, -1]


class Attention(nn.Module):
    """Attention with dropout, and positions whose number equals N by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(8, 1, 4))
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.1)
        self.inner = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x).transpose(0, 1) + self.position[: x.shape[1]]
        return self.attention(x, x, x)[0].mean(0)


class Frames(nn.Module):
    """Frames folded into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x.flatten(0, 1).unsqueeze(1)).mean((2, 3)).unflatten(0, x.shape[:2]).mean(1)


class Lambda(nn.Module):
    def __init__(self, layer: nn.Module, after) -> None:
        super().__init__()
        self.layer, self.after = layer, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.layer(x))


class Words(nn.Module):
    def __init__(self, kind=nn.Embedding) -> None:
        super().__init__()
        self.table = kind(7, 4, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        found = self.table((x.abs() * 3).long().clamp(max=6))
        return found.mean(1) if found.ndim == 3 else found


class LoRA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(5, 4).requires_grad_(False)
        self.down, self.up = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.randn(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.down.T @ self.up.T


def pruned() -> nn.Module:
    layer = nn.Linear(5, 4)
    prune.random_unstructured(layer, "weight", 0.5)
    return layer


def hooked(where: str) -> nn.Module:
    layer = nn.Linear(5, 4)
    if where == "weight":
        layer.weight.register_hook(lambda g: g * 2)
    elif where == "output":
        layer.register_forward_hook(lambda module, inputs, output: output * 2)
    else:
        layer.register_full_backward_hook(lambda module, grad_in, grad_out: None)
    return layer


def replaced() -> nn.Module:
    layer = nn.Linear(5, 4)
    layer.forward = lambda x: nn.functional.linear(x, layer.weight * 3, layer.bias).tanh()
    return layer


ENCODERS = {
    "rnn": (lambda: Last(nn.RNN), (6, 5)),
    "lstm": (lambda: Last(nn.LSTM), (6, 5)),
    "packed gru": (lambda: Last(nn.GRU, packed=True), (6, 5)),
    "packed lstm": (lambda: Last(nn.LSTM, packed=True), (6, 5)),
    "attention, positions": (Attention, (8, 5)),
    "frames in the batch": (Frames, (8, 5, 5)),
    "conv3d": (lambda: Lambda(nn.Conv3d(1, 4, 2), lambda y: y.mean((2, 3, 4))), (1, 3, 3, 3)),
    "transposed": (lambda: Lambda(nn.ConvTranspose1d(5, 4, 2), lambda y: y.mean(2)), (5, 3)),
    "prelu": (lambda: nn.Sequential(nn.Linear(5, 4), nn.PReLU(4)), (5,)),
    "rms norm": (lambda: nn.Sequential(nn.Linear(5, 4), nn.RMSNorm(4)), (5,)),
    "group norm": (lambda: nn.Sequential(nn.Linear(5, 4), nn.GroupNorm(2, 4)), (5,)),
    "first axis equal to N": (lambda: nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 4)), (5,)),
    "bilinear": (lambda: Lambda(nn.Linear(5, 4), lambda y: y * y), (5,)),
    "sparse words": (Words, (5,)),
    "sparse bag": (lambda: Words(nn.EmbeddingBag), (5,)),
    "lora": (LoRA, (5,)),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(5, 4)), (5,)),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(5, 4)), (5,)),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(5, 4)), (5,)),
    "pruned": (pruned, (5,)),
    "hook on a weight": (lambda: hooked("weight"), (5,)),
    "hook on an output": (lambda: hooked("output"), (5,)),
    "backward hook": (lambda: hooked("backward"), (5,)),
    "another forward": (replaced, (5,)),
}
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # torch, of the test's own
encoders = pytest.mark.parametrize("encoder", ENCODERS)


@encoders
def test_any_layer_gets_what_autograd_gives(encoder):
    make, shape = ENCODERS[encoder]
    network = Pair(make())
    losses = losses_of(network, shape=shape)
    expected = single(losses, network)
    UnimodalSum(network.partition()).backward(losses)
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (name not in expected), name
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, expected[name], msg=name)


@encoders
def test_any_layer_trains_and_keeps_its_length(encoder):
    make, shape = ENCODERS[encoder]
    network = Pair(make())
    balancer = BOGC(network.partition())
    train(network, balancer, lambda step: losses_of(network, step, shape=shape), 5)
    losses = losses_of(network, 9, shape=shape)
    expected = single(losses, network)
    network.zero_grad()
    info = balancer.backward(losses)
    assert {"sound_head", "image_head", "fused", "sound"} <= set(info.blocks)
    names = {id(p): name for name, p in network.named_parameters()}
    for block in balancer.partition.blocks:
        own = [p for p in block.parameters if p.grad is not None]
        if own:
            lengths = [
                torch.cat([g.flatten() for g in found]).norm()
                for found in (
                    [p.grad for p in own],
                    [expected.get(names[id(p)], torch.zeros(1)) for p in own],
                )
            ]
            torch.testing.assert_close(*lengths, rtol=1e-7, atol=1e-12)


def test_functional_call_with_other_weights_has_their_gradient():
    network = Pair()
    other = {name: nn.Parameter(p.detach() * 2) for name, p in network.named_parameters()}
    image, sound, targets = batch(0)
    logits = torch.func.functional_call(
        network, {n: p * 2 for n, p in network.named_parameters()}, (image, sound)
    )
    losses = cross_entropies(logits, targets)
    expected = single(losses, network)
    UnimodalSum(network.partition()).backward(losses)
    assert all(torch.allclose(p.grad, expected[n]) for n, p in network.named_parameters())
    logits = torch.func.functional_call(network, other, (image, sound))
    balancer = UnimodalSum(network.partition())
    with pytest.raises(ValueError, match="must cover every trainable parameter"):
        balancer.backward(cross_entropies(logits, targets))


@pytest.mark.parametrize("method", BALANCERS)
@pytest.mark.parametrize("kind", ["checkpointed", "whole"])
def test_a_checkpoint_changes_nothing(method, kind):
    found = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        network = Pair(nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 4)))
        balancer, inner = BALANCERS[method](network.partition()), network.image

        def run(image, sound, network=network, inner=inner):
            a = checkpoint(inner, image, use_reentrant=False)
            return {
                "fusion": network.fused(torch.cat([a, network.sound(sound)], 1)),
                "image": network.image_head(a),
                "sound": network.sound_head(network.sound(sound)),
            }

        for step in range(5):
            network.zero_grad()
            torch.manual_seed(step)
            image, sound, targets = batch(step)
            called = (
                (lambda *x, n=network: checkpoint(n, *x, use_reentrant=False)) if kind == "whole" else run
            )
            logits = (
                called(image, sound)
                if checkpointed
                else run(image, sound)
                if kind != "whole"
                else network(image, sound)
            )
            balancer.backward(cross_entropies(logits, targets))
        found.append([p.grad for p in network.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_network_works_or_names_the_remedy(backend):
    from bogc.errors import UnsuitableError

    network = Pair()
    compiled = torch.compile(network, backend=backend)
    balancer = BOGC(network.partition())
    try:
        train(network, balancer, lambda step: losses_of(compiled, step))
    except UnsuitableError as error:
        if "donated_buffer = False" not in str(error):
            raise


def test_a_hugging_face_network_trains():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )

    class Bert(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.out = transformers.BertModel(config, add_pooling_layer=False), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.model((x.abs() * 9).long().clamp(max=29)).last_hidden_state[:, 0])

    network = Pair(Bert())
    train(network, BOGC(network.partition()), lambda step: losses_of(network, step), 5)


@pytest.mark.parametrize("whole", [False, True], ids=["parts", "whole"])
def test_a_checkpoint_holds_no_activations(whole):
    """What autograd keeps of a deep encoder: with checkpoints, next to nothing beside what it is given."""

    def held(checkpointed: bool) -> int:
        layers = [nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(12)]
        network = Pair(nn.Sequential(nn.Linear(5, 64), *layers, nn.Linear(64, 4)))
        balancer, seen = BOGC(network.partition()), 0

        def kept(tensor: Tensor) -> Tensor:
            nonlocal seen
            seen += tensor.numel()
            return tensor

        inner = network.image
        if checkpointed and not whole:
            for layer in layers:
                layer.forward = lambda x, f=layer.forward: checkpoint(f, x, use_reentrant=False)
        image, sound, targets = batch(0, 64)
        with torch.autograd.graph.saved_tensors_hooks(kept, lambda t: t):
            if checkpointed and whole:
                logits = checkpoint(network, image, sound, use_reentrant=False)
            else:
                logits = network(image, sound)
            forward = seen
        balancer.backward(cross_entropies(logits, targets))
        assert inner[0].weight.grad.any()
        return forward

    assert held(True) < 0.7 * held(False)
