"""Rows of nn.MultiheadAttention against one backward pass a sample, in float64."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bogc.gradients import ModalityPartition, PerRow, PerSample, per_row

N, LENGTH, WIDTH, HEADS = 5, 3, 4, 2


class Network(nn.Module):
    """A layer before attention and one behind it; ``call`` says how attention is used."""

    def __init__(self, call: Callable[..., Tensor], **settings: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        settings = {"batch_first": True, **settings}
        self.before, self.behind = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, **settings)
        if self.attention.in_proj_bias is not None:
            nn.init.normal_(self.attention.in_proj_bias)  # torch starts with zeros
        self.call = call

    def losses(self) -> dict[str, Tensor]:
        x = self.before(torch.randn(N, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1)))
        return {"fusion": (self.behind(self.call(self.attention, x)) ** 3).sum((1, 2))}

    def partition(self) -> ModalityPartition:
        return ModalityPartition({"all": self}, model=self)


def other(width: int, length: int = 6) -> Tensor:
    return torch.randn(N, length, width, generator=torch.Generator().manual_seed(2))


def to_itself(attention: nn.Module, x: Tensor) -> Tensor:
    return attention(x, x, x)[0]


def with_masks(attention: nn.Module, x: Tensor) -> Tensor:
    padding = torch.arange(LENGTH) >= torch.tensor([[3], [2], [1], [3], [2]])
    mask = torch.ones(LENGTH, LENGTH).triu(1).bool()
    return attention(x, x, x, key_padding_mask=padding, attn_mask=mask, need_weights=False, is_causal=True)[0]


def with_scores(attention: nn.Module, x: Tensor) -> Tensor:
    mask = torch.randn(N * HEADS, LENGTH, LENGTH, generator=torch.Generator().manual_seed(3))
    padding = torch.zeros(N, LENGTH)
    padding[:, -1] = -torch.inf
    return attention(x, x, x, key_padding_mask=padding, attn_mask=mask)[0]


def to_another(attention: nn.Module, x: Tensor) -> Tensor:
    return attention(x, other(WIDTH), other(WIDTH))[0]


def to_others_of_other_widths(attention: nn.Module, x: Tensor) -> Tensor:
    return attention(x, other(5), other(3), need_weights=False)[0]


def twice(attention: nn.Module, x: Tensor) -> Tensor:
    return attention(attention(x, x, x)[0], x, x)[0]


KNOWN: dict[str, tuple[Callable[..., Tensor], Mapping[str, Any]]] = {
    "self-attention": (to_itself, {}),
    "without biases": (to_itself, {"bias": False}),
    "masks of booleans": (with_masks, {}),
    "masks of numbers, one a head": (with_scores, {}),
    "cross-attention": (to_another, {}),
    "other widths": (to_others_of_other_widths, {"kdim": 5, "vdim": 3}),
    "used twice": (twice, {}),
}


def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Blocks for which passes were made one a sample, filled as it happens."""
    names: list[str] = []
    slow = per_row.sample_moments
    monkeypatch.setattr(
        per_row,
        "sample_moments",
        lambda losses, blocks, *rest: (names.extend(b.name for b in blocks), slow(losses, blocks, *rest))[1],
    )
    return names


def assert_per_sample(network: Network) -> None:
    partition = network.partition()
    PerRow().attach(partition)
    losses = network.losses()
    found = PerRow().estimate(losses, partition.blocks, {})["fusion"]
    expected = PerSample().estimate(losses, partition.blocks, {})["fusion"]
    assert found.means.keys() == expected.means.keys()
    for name, moments in expected.moments.items():
        torch.testing.assert_close(found.moments[name].mean, moments.mean, rtol=1e-8, atol=1e-12)
        torch.testing.assert_close(found.moments[name].scatter, moments.scatter, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("case", KNOWN)
def test_one_pass_gives_the_moments_of_all_samples(case: str, monkeypatch: pytest.MonkeyPatch):
    names = passes(monkeypatch)
    call, settings = KNOWN[case]
    assert_per_sample(Network(call, **settings))
    assert names == []


def by_weights(attention: nn.Module, x: Tensor) -> Tensor:
    attended, weights = attention(x, x, x)
    return attended * weights.square().sum((1, 2)).view(-1, 1, 1)


def with_a_mask_by_position(attention: nn.Module, x: Tensor) -> Tensor:
    return attention(x, x, x, torch.zeros(N, LENGTH, dtype=torch.bool))[0]


UNKNOWN: dict[str, tuple[Callable[..., Tensor], Mapping[str, Any]]] = {
    "a batch on the second axis": (
        lambda a, x: a(*[x.transpose(0, 1)] * 3)[0].transpose(0, 1),
        {"batch_first": False},
    ),
    "extra keys": (to_itself, {"add_bias_kv": True}),
    "a key of zeros": (to_itself, {"add_zero_attn": True}),
    "the weights are used": (by_weights, {}),
    "a mask by position": (with_a_mask_by_position, {}),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_repeated_takes_one_pass_a_sample(case: str, monkeypatch: pytest.MonkeyPatch):
    names = passes(monkeypatch)
    call, settings = UNKNOWN[case]
    assert_per_sample(Network(call, **settings))
    assert "all.attention" in names


def test_dropout_cannot_be_repeated_while_training(monkeypatch: pytest.MonkeyPatch):
    names = passes(monkeypatch)
    network = Network(to_itself, dropout=0.5)
    assert_per_sample(network)
    assert set(names) == {"all.attention", "all.attention.out_proj"}
    names.clear()
    assert_per_sample(network.eval())
    assert names == []


def test_under_autocast_moments_are_right_to_bfloat16():
    network = Network(to_itself).float()
    partition = network.partition()
    PerRow().attach(partition)
    x = torch.randn(64, LENGTH, WIDTH, dtype=torch.float32)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            losses = {"fusion": network.behind(to_itself(network.attention, x)).float().square().sum((1, 2))}
        found.append(PerRow().estimate(losses, partition.blocks, {})["fusion"].moments)
    for name, exact in found[0].items():
        torch.testing.assert_close(
            found[1][name].scatter, exact.scatter, rtol=0.2, atol=0.02 * float(exact.scatter.max())
        )


def test_an_encoder_layer_of_torch_takes_one_pass(monkeypatch: pytest.MonkeyPatch):
    names = passes(monkeypatch)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 8, dropout=0.0, batch_first=True)
    network = Network(lambda attention, x: layer(attention(x, x, x)[0]))
    network.layer = layer
    assert_per_sample(network)
    assert names == []
