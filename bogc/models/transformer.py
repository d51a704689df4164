"""A transformer encoder of sequences, normalised before each part (Vaswani et al. 2017, arXiv 1706.03762)."""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.checks import check_number


@dataclass(frozen=True)
class Dropouts:
    """Probabilities of dropout, by place.

    Attributes:
        attention: Of attention weights.
        hidden: Of the hidden layer of the feed-forward part.
        residual: Of what either part adds.
        embedding: Of the input with its positions.

    Raises:
        RangeError: One is not in [0, 1).
    """

    attention: float = 0.0
    hidden: float = 0.0
    residual: float = 0.0
    embedding: float = 0.0

    def __post_init__(self) -> None:
        for name in ("attention", "hidden", "residual", "embedding"):
            value = getattr(self, name)
            check_number(name, value, 0 <= value < 1, "must lie in [0, 1)", "Use 0 for none.")


def sinusoids(length: int, width: int) -> Float[Tensor, "length width"]:
    """Sines, then cosines, of the positions 1 to ``length`` at wavelengths from 2 pi to 20,000 pi.

    Frequency k of width // 2 is 10,000 ** (-k / (width // 2 - 1)), as in tensor2tensor; an odd width ends in
    0.

    Raises:
        RangeError: ``width`` is below 4.
    """
    check_number("width", width, width >= 4, "must be at least 4", "Use a wider encoder.")
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))
    angles = torch.arange(1, length + 1).unsqueeze(1) * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    return nn.functional.pad(waves, (0, width - waves.shape[1]))


@final
class SelfAttentionLayer(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)) with a hidden layer four times as wide.

    Attention is computed step by step, not by a fused kernel, so that it can be differentiated twice, which
    CGGM's direction loss needs. All weights start Xavier uniform, all biases at 0.

    Args:
        width: Features of each time.
        heads: Of attention; they divide ``width``.
        dropouts: See there; ``embedding`` is not used.
    """

    def __init__(self, width: int, heads: int, dropouts: Dropouts) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropouts.attention, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.hidden_dropout = nn.Dropout(dropouts.hidden)
        self.residual_dropout = nn.Dropout(dropouts.residual)
        for linear in (self.attention.out_proj, self.expand, self.contract):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Float[Tensor, "N T width"]) -> Float[Tensor, "N T width"]:
        """Return a sequence of the same shape."""
        normed = self.attention_norm(x)
        attended, _ = self.attention(normed, normed, normed, need_weights=True)
        x = x + self.residual_dropout(attended)
        hidden = self.hidden_dropout(self.expand(self.norm(x)).relu())
        total: Tensor = x + self.residual_dropout(self.contract(hidden))
        return total


@final
class SequenceEncoder(nn.Module):
    """Input times the root of its width, plus positions; then layers, and a last norm.

    Args:
        width: Features of each time.
        heads: Of attention; they divide ``width``.
        layers: How many.
        dropouts: See there.

    Raises:
        RangeError: ``heads`` does not divide ``width``, or there is no layer.
    """

    def __init__(self, width: int, heads: int, layers: int, dropouts: Dropouts) -> None:
        super().__init__()
        valid = heads >= 1 and width % heads == 0
        check_number("heads", heads, valid, f"must divide the width, {width}", "Choose a divisor.")
        check_number("layers", layers, layers >= 1, "must be at least 1", "Use 1.")
        self.dropout = nn.Dropout(dropouts.embedding)
        self.layers = nn.ModuleList([SelfAttentionLayer(width, heads, dropouts) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "N T width"]) -> Float[Tensor, "N T width"]:
        """Encode sequences of any one length; nothing is masked."""
        positions = sinusoids(x.shape[1], x.shape[2]).to(x)
        x = self.dropout(math.sqrt(x.shape[2]) * x + positions)
        for layer in self.layers:
            x = layer(x)
        encoded: Tensor = self.norm(x)
        return encoded
