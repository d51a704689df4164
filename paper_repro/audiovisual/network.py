"""The networks of the released codes: one ResNet-18 a modality, one linear layer over all features."""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from bogc.models import FUSIONS, MultimodalClassifier
from paper_repro.audiovisual.pretrained import load_imagenet
from paper_repro.networks.resnet import FEATURES, ResNet18


def build_network(
    channels: Mapping[str, int], fusion: str, classes: int, start: str = "xavier", weights: Path | None = None
) -> MultimodalClassifier:
    """Draw a network from the global generator.

    Args:
        channels: Modality to the channels of its input.
        fusion: "concat" or "sum".
        classes: How many.
        start: "xavier": linear layers start Xavier normal, biases at 0; "torch": as torch starts them.
        weights: File of torchvision's weights for all encoders; None: they start from nothing.

    Returns:
        Its unimodal heads are trained by some methods only.

    Raises:
        DataError: The file of weights is missing, or another one.
    """
    encoders = {modality: ResNet18(width) for modality, width in channels.items()}
    model = MultimodalClassifier(encoders, FUSIONS[fusion](tuple(channels), FEATURES, classes))
    if start == "xavier":
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)
    if weights is not None:
        for encoder in encoders.values():
            load_imagenet(encoder, weights)
    return model
