"""The segmentation network of CGGM: DeepLabv3+ with a ResNet-101 for each kind of picture (arXiv 2411.01409).

Written after the released code, zrguo/CGGM at 21e428c (``models/segmodel.py``), with output stride 16; the
design is Chen et al. 2018 (arXiv 1802.02611). Different here: the features of the encoder are brought to the
size of the early ones before they leave it, where that code does so first thing in the decoder; and the last
1 x 1 convolution is a linear layer at every pixel. Neither changes a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bogc.checks import check_number
from bogc.gradients import ModalityPartition
from bogc.models.classifier import ModalOutputs, check_inputs
from bogc.models.fusion import by_modality

STAGES: Final = ((1, 1), (2, 2), (4, 2))  # factor of the width, and stride, of the first three
LAST: Final = (2, 4, 8)  # dilations of the blocks of the fourth, which has stride 1
RATES: Final = (1, 2, 4, 6)  # dilations of the pyramid


@dataclass(frozen=True)
class Sizes:
    """How large the network is; the defaults are those of the released code.

    Attributes:
        width: Channels of the first stage, a quarter of what it gives; the fourth gives 32 times as many.
        depths: Blocks of the first three stages.
        features: Channels of the pyramid, and within the decoder.
        early: Channels that the decoder makes of all early features.

    Raises:
        RangeError: A number is below 1.
    """

    width: int = 64
    depths: tuple[int, int, int] = (3, 4, 23)
    features: int = 256
    early: int = 48

    def __post_init__(self) -> None:
        for name, value in {"width": self.width, "features": self.features, "early": self.early}.items():
            check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
        check_number("depths", min(self.depths), min(self.depths) >= 1, "must be at least 1", "Use 1.")

    @property
    def encoded(self) -> int:
        """Channels of what an encoder gives: of the pyramid, and early ones."""
        return self.features + 4 * self.width


def convolution(inside: int, outside: int, size: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolve without bias, keeping the size up to the stride, and normalise."""
    padding = dilation * (size // 2)
    layer = nn.Conv2d(inside, outside, size, stride, padding, dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside))


@final
class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, added to the input, which is projected if its shape changes."""

    def __init__(self, inside: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(inside, width, 1),
            nn.ReLU(),
            convolution(width, width, 3, stride, dilation),
            nn.ReLU(),
            convolution(width, 4 * width, 1),
        )
        changes = stride != 1 or inside != 4 * width
        self.shortcut = convolution(inside, 4 * width, 1, stride) if changes else nn.Identity()

    def forward(self, x: Float[Tensor, "N A H W"]) -> Float[Tensor, "N B h w"]:
        """Return ReLU(residual + shortcut)."""
        total: Tensor = self.residual(x) + self.shortcut(x)
        return total.relu()


@final
class Pyramid(nn.Module):
    """Convolutions at several dilations beside the mean over all pixels, mixed to ``outside`` channels."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(convolution(inside, outside, 1 if rate == 1 else 3, dilation=rate), nn.ReLU())
            for rate in RATES
        )
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), convolution(inside, outside, 1), nn.ReLU())
        mixed = convolution((len(RATES) + 1) * outside, outside, 1)
        self.mix = nn.Sequential(mixed, nn.ReLU(), nn.Dropout(0.5))

    def forward(self, x: Float[Tensor, "N A h w"]) -> Float[Tensor, "N B h w"]:
        """Look at each pixel's surroundings, near and far."""
        parts = [branch(x) for branch in self.branches]
        parts.append(self.whole(x).expand_as(parts[0]))
        mixed: Tensor = self.mix(torch.cat(parts, dim=1))
        return mixed


@final
class DeepLabEncoder(nn.Module):
    """A dilated residual network and a pyramid, for pictures of one channel.

    Args:
        sizes: See there.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(1, sizes.width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
        stages, inside = [], sizes.width
        for (factor, stride), depth in zip(STAGES, sizes.depths, strict=True):
            blocks = []
            for index in range(depth):
                blocks.append(Bottleneck(inside, factor * sizes.width, stride if index == 0 else 1, 1))
                inside = 4 * factor * sizes.width
            stages.append(nn.Sequential(*blocks))
        self.early, *later = stages
        last = []
        for dilation in LAST:
            last.append(Bottleneck(inside, 8 * sizes.width, 1, dilation))
            inside = 32 * sizes.width
        self.later = nn.Sequential(*later, *last)
        self.pyramid = Pyramid(inside, sizes.features)
        _start(self, "fan_out")
        _start(self.pyramid, "fan_in")

    def forward(self, x: Float[Tensor, "N 1 H W"]) -> Float[Tensor, "N encoded h w"]:
        """Encode to a quarter of height and width: channels of the pyramid, then early ones."""
        early = self.early(self.stem(x))
        late = self.pyramid(self.later(early))
        return torch.cat([_resized(late, early.shape[2:]), early], dim=1)


@final
class DeepLabDecoder(nn.Module):
    """Turn the features of one encoder or of several into logits of each pixel.

    Args:
        sizes: See there.
        encoders: How many.
        classes: Of a pixel.
    """

    def __init__(self, sizes: Sizes, encoders: int, classes: int) -> None:
        super().__init__()
        width = sizes.features
        self.features = width
        self.early = nn.Sequential(convolution(encoders * 4 * sizes.width, sizes.early, 1), nn.ReLU())
        self.body = nn.Sequential(
            convolution(encoders * width + sizes.early, width, 3),
            nn.ReLU(),
            nn.Dropout(0.5),
            convolution(width, width, 3),
            nn.ReLU(),
            nn.Dropout(0.1),
        )
        self.output = nn.Linear(width, classes)
        _start(self, "fan_in")
        nn.init.kaiming_normal_(self.output.weight)

    def forward(self, encoded: list[Tensor], size: tuple[int, int]) -> Float[Tensor, "N C H W"]:
        """Decode what encoders gave, each [N, encoded, h, w], to pictures of ``size``."""
        late = [each[:, : self.features] for each in encoded]
        early = torch.cat([each[:, self.features :] for each in encoded], dim=1)
        features = self.body(torch.cat([*late, self.early(early)], dim=1))
        return _resized(self.output(features.movedim(1, -1)).movedim(-1, 1), size)


def _resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def _start(module: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    """Draw convolutions from He's normal initialisation; BatchNorm starts at 1 and 0 by itself."""
    for each in module.modules():
        if isinstance(each, nn.Conv2d):
            nn.init.kaiming_normal_(each.weight, mode=mode, nonlinearity="relu")


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
