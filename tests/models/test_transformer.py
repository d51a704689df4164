import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import RangeError
from bogc.models.transformer import Dropouts, SelfAttentionLayer, SequenceEncoder, sinusoids


@given(st.integers(1, 9), st.integers(4, 11))
def test_positions_are_the_stated_waves(length: int, width: int):
    found = sinusoids(length, width)
    assert found.shape == (length, width)
    half = width // 2
    for position in range(length):
        for k in range(half):
            angle = (position + 1) * 10_000 ** (-k / (half - 1))
            assert math.isclose(float(found[position, k]), math.sin(angle), abs_tol=1e-9)
            assert math.isclose(float(found[position, half + k]), math.cos(angle), abs_tol=1e-9)
        assert width % 2 == 0 or found[position, -1] == 0


def slow_layer(layer: SelfAttentionLayer, x: torch.Tensor) -> torch.Tensor:
    """One sample [T, width], head by head and time by time."""
    times, width = x.shape
    heads = layer.attention.num_heads
    size = width // heads
    normed = layer.attention_norm(x)
    mixed = normed @ layer.attention.in_proj_weight.T + layer.attention.in_proj_bias
    query, key, value = mixed.split(width, dim=1)
    rows = []
    for time in range(times):
        parts = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = torch.stack([(query[time, own] * key[s, own]).sum() for s in range(times)])
            parts.append((scores / math.sqrt(size)).softmax(0) @ value[:, own])
        rows.append(layer.attention.out_proj(torch.cat(parts)))
    x = x + torch.stack(rows)
    return x + layer.contract(layer.expand(layer.norm(x)).relu())


def test_a_layer_is_attention_and_a_perceptron_with_residuals():
    torch.manual_seed(0)
    layer = SelfAttentionLayer(6, 3, Dropouts())
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 4, 6)
    torch.testing.assert_close(layer(x), torch.stack([slow_layer(layer, sample) for sample in x]))


def test_an_encoder_scales_adds_positions_and_ends_in_a_norm():
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 2, Dropouts()).eval()
    x = torch.randn(3, 5, 8)
    y = math.sqrt(8) * x + sinusoids(5, 8)
    for layer in encoder.layers:
        y = layer(y)
    torch.testing.assert_close(encoder(x), encoder.norm(y))


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 1, Dropouts(0.5, 0.5, 0.5, 0.5))
    x = torch.randn(2, 3, 8)
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    torch.testing.assert_close(encoder(x), encoder(x))


def test_it_can_be_differentiated_twice():
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 1, Dropouts())
    x = torch.randn(2, 3, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(x).pow(2).sum(), x, create_graph=True)
    gradient.pow(2).sum().backward()
    assert all(p.grad is not None for p in encoder.layers.parameters())


def test_sizes_and_probabilities_out_of_range_are_refused():
    with pytest.raises(RangeError, match="heads must divide the width, 8; found 3"):
        SequenceEncoder(8, 3, 1, Dropouts())
    with pytest.raises(RangeError, match="layers must be at least 1; found 0"):
        SequenceEncoder(8, 2, 0, Dropouts())
    with pytest.raises(RangeError, match=r"residual must lie in \[0, 1\); found 1"):
        Dropouts(residual=1.0)
    with pytest.raises(RangeError, match="width must be at least 4; found 3"):
        sinusoids(2, 3)
