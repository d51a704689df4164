"""The networks of CGGM for text, voice and face in time (arXiv 2411.01409).

Written after the released code, zrguo/CGGM at 21e428c (``models/msamodel.py``, ``modules/``). Different here:
sequences are [N, features, time], positions are counted where that code would call an exact zero padding, and
any number of modalities can be there.
"""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.gradients import ModalityPartition
from bogc.models.modalities import by_modality, check_inputs
from bogc.models.outputs import ModalOutputs
from bogc.models.transformer import Dropouts, SequenceEncoder


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
