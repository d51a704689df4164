"""The networks of I2M2 for AV-MNIST: small LeNets, and perceptrons on what they see (arXiv 2405.17613).

Written after the released code, divyam3897/I2M2 at 7742765 (``avmnist_and_mimic/avmnist_main.py``,
``unimodals/common_models.py``, which are MultiBench's). Different here: a batch of one sample keeps its axis,
and the perceptron's hidden layer counts as the last of the encoder, which changes no value.
"""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.models.fusion import FusionHead
from bogc.models.product_of_experts import JointExpert, ProductOfExperts

HIDDEN = 100
"""Width of the perceptrons."""


def lenet(channels: int, layers: int) -> nn.Sequential:
    """Pictures [N, 1, side, side] -> [N, features].

    Each layer convolves, doubling the channels after the first, normalises, takes ReLU and the largest of
    every 2 x 2. So ``channels`` * 2 ** (``layers`` - 1) channels come out, each of side // 2 ** ``layers``
    squared pixels, flattened. The first kernel is 5 x 5, the others are 3 x 3. Weights start He uniform.

    Args:
        channels: Of the first layer.
        layers: How many.
    """
    modules: list[nn.Module] = []
    inside, outside = 1, channels
    for index in range(layers):
        size = 5 if index == 0 else 3
        convolution = nn.Conv2d(inside, outside, size, padding=size // 2, bias=False)
        nn.init.kaiming_uniform_(convolution.weight)
        modules += [convolution, nn.BatchNorm2d(outside), nn.ReLU(), nn.MaxPool2d(2)]
        inside, outside = outside, 2 * outside
    return nn.Sequential(*modules, nn.Flatten())


@final
class PerceptronFusion(FusionHead):
    """One hidden layer on the concatenated features; zeros stand in for an absent modality.

    Args:
        widths: Modality -> width of its features.
        hidden: Width of the hidden layer.
        classes: Of the task.
    """

    def __init__(self, widths: Mapping[str, int], hidden: int, classes: int) -> None:
        super().__init__(tuple(widths), hidden, classes)
        self.widths = dict(widths)
        self.hidden = nn.Linear(sum(widths.values()), hidden)
        self.output = nn.Linear(hidden, classes)

    def forward(self, features: Mapping[str, Tensor]) -> Float[Tensor, "N C"]:
        """See the base class."""
        present = next(iter(features.values()))
        filled = [
            features[m] if m in features else present.new_zeros(len(present), width)
            for m, width in self.widths.items()
        ]
        logits: Tensor = self.output(self.hidden(torch.cat(filled, dim=1)).relu())
        return logits

    def slices(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See the base class: logits with zeros for all others."""
        return {modality: self({modality: value}) for modality, value in features.items()}

    def weights(self) -> dict[str, Tensor]:
        """See the base class; all modalities meet the same."""
        return dict.fromkeys(self.modalities, self.output.weight)


def av_mnist_experts(unimodal: int = 3, joint: int = 6) -> ProductOfExperts:
    """Build I2M2's experts on ``image``, [N, 1, 28, 28], and ``audio``, [N, 1, 112, 112].

    Args:
        unimodal: Channels of the first layers of the experts on one modality.
        joint: Channels of the first layers of the expert on both.
    """
    layers = {"image": 4, "audio": 6}
    final_pixels = 1  # 28 // 2**4 and 112 // 2**6
    own = {
        m: nn.Sequential(
            lenet(unimodal, count),
            nn.Linear(unimodal * 2 ** (count - 1) * final_pixels, HIDDEN),
            nn.ReLU(),
        )
        for m, count in layers.items()
    }
    common = {m: lenet(joint, count) for m, count in layers.items()}
    widths = {m: joint * 2 ** (count - 1) * final_pixels for m, count in layers.items()}
    return ProductOfExperts(own, JointExpert(common, PerceptronFusion(widths, HIDDEN, 10)))
