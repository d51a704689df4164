"""A multi-modal classifier: an encoder and a head for each modality, and one fusion head.

Beside it: small encoders, chosen by the shape of a sample, and what every network takes and returns.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bogc.errors import ConfigError, DataError, ShapeError
from bogc.gradients import ModalityPartition
from bogc.models.fusion import ConcatFusion, FusionHead, by_modality


@dataclass(frozen=True, eq=False)
class ModalOutputs:
    """Predictions of one forward pass.

    Attributes:
        fused: Logits of the fused prediction, [N, C]; log-probabilities are logits too.
        unimodal: Logits of each modality's own head, [N, C], by modality; an expert on all modalities may be
            among them.
        features: Output of each encoder, [N, F], by modality.
    """

    fused: Tensor
    unimodal: dict[str, Tensor]
    features: dict[str, Tensor]


class MultimodalClassifier(nn.Module):
    """Encoders -> features -> unimodal logits and fused logits.

    Args:
        encoders: Modality -> module from its input to features [N, F].
        fusion: Head over all features.

    Raises:
        ConfigError: The head is over other modalities, or torch cannot register the name of one.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], fusion: FusionHead) -> None:
        super().__init__()
        if set(encoders) != set(fusion.modalities):
            rule = f"must have the modalities {list(encoders)}"
            raise ConfigError("fusion", rule, list(fusion.modalities), "Build it for them.")
        self.encoders = by_modality(encoders)
        self.heads = by_modality({m: nn.Linear(fusion.features, fusion.classes) for m in encoders})
        self.fusion = fusion

    @classmethod
    def for_samples(
        cls,
        samples: Mapping[str, Tensor],
        classes: int,
        features: int = 64,
        fusion: type[FusionHead] = ConcatFusion,
    ) -> "MultimodalClassifier":
        """Build with the stock encoders for one sample [...] of each modality."""
        encoders = {modality: encoder_for(sample, features) for modality, sample in samples.items()}
        return cls(encoders, fusion(tuple(samples), features, classes))

    def partition(self) -> ModalityPartition:
        """Encoder and head belong to their modality, the fusion head to none."""
        modalities = {m: (encoder, self.heads[m]) for m, encoder in self.encoders.items()}
        return ModalityPartition(modalities, shared=self.fusion, model=self)

    def forward(self, inputs: Mapping[str, Tensor]) -> ModalOutputs:
        """Predict from the modalities at hand.

        Raises:
            DataError: No modality, or one without an encoder.
        """
        check_inputs(inputs, list(self.encoders))
        features = {m: self.encoders[m](inputs[m]) for m in self.encoders if m in inputs}
        unimodal = {m: self.heads[m](feature) for m, feature in features.items()}
        return ModalOutputs(self.fusion(features), unimodal, features)


def vector_encoder(width: int, features: int) -> nn.Sequential:
    """[N, width] -> [N, features]: two hidden layers with BatchNorm."""
    return nn.Sequential(
        nn.Linear(width, 2 * features),
        nn.BatchNorm1d(2 * features),
        nn.ReLU(),
        nn.Linear(2 * features, features),
        nn.BatchNorm1d(features),
        nn.ReLU(),
    )


def series_encoder(channels: int, features: int) -> nn.Sequential:
    """[N, channels, time] -> [N, features]: three strided convolutions, then the mean over time."""
    half = features // 2
    return nn.Sequential(
        *_conv(nn.Conv1d(channels, half, 7, stride=2, padding=3, bias=False), nn.BatchNorm1d(half)),
        *_conv(nn.Conv1d(half, features, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(features)),
        *_conv(nn.Conv1d(features, features, 3, stride=2, padding=1, bias=False), nn.BatchNorm1d(features)),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
    )


def image_encoder(channels: int, features: int) -> nn.Sequential:
    """[N, channels, height, width] -> [N, features]: three strided convolutions, mean over pixels."""
    half = features // 2
    return nn.Sequential(
        *_conv(nn.Conv2d(channels, half, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(half)),
        *_conv(nn.Conv2d(half, features, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(features)),
        *_conv(nn.Conv2d(features, features, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(features)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def encoder_for(sample: Tensor, features: int) -> nn.Sequential:
    """Return an encoder for samples shaped like ``sample``: [width], [channels, time] or [channels, h, w].

    Raises:
        ShapeError: A sample has another number of axes.
    """
    makers = {1: vector_encoder, 2: series_encoder, 3: image_encoder}
    if sample.ndim not in makers:
        remedy = "Reshape it, or build the encoder yourself and pass it to MultimodalClassifier."
        raise ShapeError("sample", "must have 1, 2 or 3 axes", list(sample.shape), remedy)
    return makers[sample.ndim](sample.shape[0], features)


def _conv(convolution: nn.Module, norm: nn.Module) -> Sequence[nn.Module]:
    return convolution, norm, nn.ReLU()


def check_inputs(inputs: Mapping[str, object], known: Collection[str]) -> None:
    """Raise unless ``inputs`` holds some of the ``known`` modalities and no other.

    Raises:
        DataError: No modality, or an unknown one.
    """
    unknown = sorted(inputs.keys() - set(known))
    if unknown or not inputs:
        found = f"unknown {unknown}" if unknown else "none"
        raise DataError("inputs", f"must hold some of {list(known)}", found, "Name modalities as built.")
