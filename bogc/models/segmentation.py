"""CGGM's segmentation of pictures of several kinds, and its classifiers (see ``deeplab``)."""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.gradients import ModalityPartition
from bogc.models.deeplab import DeepLabDecoder, DeepLabEncoder, Sizes
from bogc.models.modalities import by_modality, check_inputs
from bogc.models.outputs import ModalOutputs


@final
class SegmentationNetwork(nn.Module):
    """An encoder for each kind of picture, and a decoder over the features of all.

    Args:
        modalities: Their names; pictures have one channel.
        classes: Of a pixel.
        sizes: Of the network.
    """

    def __init__(self, modalities: tuple[str, ...], classes: int, sizes: Sizes) -> None:
        super().__init__()
        self.encoders = by_modality({m: DeepLabEncoder(sizes) for m in modalities})
        self.decoder = DeepLabDecoder(sizes, len(modalities), classes)

    def partition(self) -> ModalityPartition:
        """An encoder belongs to its modality, the decoder to none."""
        return ModalityPartition(dict(self.encoders.items()), shared=self.decoder, model=self)

    def weights(self) -> dict[str, Tensor]:
        """The output weights [C, features], with their graph; all modalities meet the same."""
        return dict.fromkeys(self.encoders, self.decoder.output.weight)

    def forward(self, inputs: Mapping[str, Tensor]) -> ModalOutputs:
        """Predict from the modalities at hand, each [N, 1, H, W]; zeros stand in for the features of others.

        Returns:
            ``fused`` [N, C, H, W]; no unimodal predictions; ``features``, [N, encoded, h, w].

        Raises:
            DataError: No modality, or an unknown one.
        """
        check_inputs(inputs, list(self.encoders))
        features = {m: encoder(inputs[m]) for m, encoder in self.encoders.items() if m in inputs}
        absent = torch.zeros_like(next(iter(features.values())))
        height, width = next(iter(inputs.values())).shape[2:]
        encoded = [features.get(m, absent) for m in self.encoders]
        return ModalOutputs(self.decoder(encoded, (height, width)), {}, features)


@final
class SegmentationClassifier(nn.Module):
    """CGGM's classifier on the features of one encoder: a decoder of its own.

    Args:
        classes: Of a pixel.
        sizes: As the network's.
        side: Height and width of the pictures.
    """

    def __init__(self, classes: int, sizes: Sizes, side: int) -> None:
        super().__init__()
        self.decoder = DeepLabDecoder(sizes, 1, classes)
        self.side = side

    def forward(self, features: Float[Tensor, "N encoded h w"]) -> Float[Tensor, "N C side side"]:
        """Predict from the features of one modality."""
        logits: Tensor = self.decoder([features], (self.side, self.side))
        return logits
