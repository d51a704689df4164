"""The networks of CGGM for text, voice and face in time (arXiv 2411.01409).

Written after the released code, zrguo/CGGM at 21e428c (``models/msamodel.py``, ``modules/``). Different here:
sequences are [N, features, time], positions are counted where that code would call an exact zero padding, and
any number of modalities can be there. The encoder of a sequence is a transformer, normalised before each part
(Vaswani et al. 2017, arXiv 1706.03762).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.checks import check_number
from bogc.gradients import ModalityPartition
from bogc.models.classifier import ModalOutputs, check_inputs
from bogc.models.fusion import by_modality


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


@final
class AffectNetwork(nn.Module):
    """Encode each modality, encode all sequences laid end to end, and predict from the first time.

    A modality is projected to ``width`` by one linear map at each time, and encoded; the fusing encoder sees
    the sequences of all modalities as one, positions counted through. Its output at the first time goes
    through two linear layers with a residual, and an output layer.

    Args:
        widths: Modality -> its features; the first one's first time is what the prediction is made from.
        outputs: Classes, or 1 for a regression.
        width: Of all sequences within.
        heads: Of attention.
        layers: Of each modality's encoder; the fusing encoder has two fewer, but at least one.
        dropouts: In all encoders.
        output_dropout: Between the two linear layers.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        outputs: int,
        width: int,
        heads: int,
        layers: int,
        dropouts: Dropouts,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.projections = by_modality({m: nn.Conv1d(size, width, 1) for m, size in widths.items()})
        self.encoders = by_modality({m: SequenceEncoder(width, heads, layers, dropouts) for m in widths})
        self.fusion = SequenceEncoder(width, heads, max(layers - 2, 1), dropouts)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(output_dropout)
        self.output = nn.Linear(width, outputs)

    def partition(self) -> ModalityPartition:
        """Only an encoder belongs to its modality; CGGM leaves the projection before it as it is."""
        shared = [self.projections, self.fusion, self.first, self.second, self.output]
        return ModalityPartition(dict(self.encoders.items()), shared=shared, model=self)

    def weights(self) -> dict[str, Tensor]:
        """The output weights [outputs, width], with their graph; all modalities meet the same."""
        return dict.fromkeys(self.encoders, self.output.weight)

    def forward(self, inputs: Mapping[str, Tensor]) -> ModalOutputs:
        """Predict from the modalities at hand, each [N, features, time].

        Returns:
            ``fused`` [N, outputs]; no unimodal predictions; ``features``, each [N, time, width].

        Raises:
            DataError: No modality, or an unknown one.
        """
        check_inputs(inputs, list(self.encoders))
        features = {
            m: encoder(self.projections[m](inputs[m]).transpose(1, 2))
            for m, encoder in self.encoders.items()
            if m in inputs
        }
        start = self.fusion(torch.cat(list(features.values()), dim=1))[:, 0]
        summary = start + self.second(self.dropout(self.first(start).relu()))
        return ModalOutputs(self.output(summary), {}, features)


@final
class AffectClassifier(nn.Module):
    """CGGM's classifier on the features of one encoder: an encoder, and three linear maps of the first time.

    The first two maps are one and the same layer, without and with ReLU after it, as in the released code.

    Args:
        width: Of the features.
        outputs: As the network's.
        heads: Of attention.
        layers: Of the encoder.
        dropouts: In the encoder.
    """

    def __init__(self, width: int, outputs: int, heads: int, layers: int, dropouts: Dropouts) -> None:
        super().__init__()
        self.encoder = SequenceEncoder(width, heads, layers, dropouts)
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, outputs)

    def forward(self, features: Float[Tensor, "N T width"]) -> Float[Tensor, "N outputs"]:
        """Predict from the features of one modality."""
        start = self.hidden(self.encoder(features)[:, 0])
        prediction: Tensor = self.output(self.hidden(start).relu())
        return prediction
