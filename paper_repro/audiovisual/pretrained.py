"""Weights of torchvision's ResNet-18, trained on ImageNet, for our encoder."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from bogc.errors import DataError
from paper_repro.networks.resnet import ResNet18

STEM: Final = {"conv1": "stem.0", "bn1": "stem.1"}
BLOCK: Final = {
    "conv1": "residual.0",
    "bn1": "residual.1",
    "conv2": "residual.3",
    "bn2": "residual.4",
    "downsample.0": "shortcut.0",
    "downsample.1": "shortcut.1",
}
BLOCKS_A_STAGE: Final = 2
FIRST: Final = "conv1.weight"

_REMEDY: Final = "Save torchvision.models.resnet18(weights='IMAGENET1K_V1').state_dict() there."


def load_imagenet(encoder: ResNet18, path: Path) -> None:
    """Start ``encoder`` from a file of torchvision's weights; nothing but tensors is read from it.

    As in the released codes, the first convolution stays as it was drawn if the input has another number of
    channels than 3, and the last linear layer is left out.

    Raises:
        DataError: The file is missing, damaged, or does not hold the weights of a ResNet-18.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or dangerous file may raise anything
        rule = "must be a file of torchvision's weights of ResNet-18"
        raise DataError(str(path), rule, error, _REMEDY) from error
    own = encoder.state_dict()
    theirs = _renamed(path, found)
    if theirs["stem.0.weight"].shape[1] != own["stem.0.weight"].shape[1]:
        theirs["stem.0.weight"] = own["stem.0.weight"]
    shapes = {name: value.shape for name, value in own.items()}
    if {name: value.shape for name, value in theirs.items()} != shapes:
        raise DataError(str(path), "must have the shapes of ResNet-18", "others", _REMEDY)
    encoder.load_state_dict(theirs)


def our_name(name: str) -> str:
    """Our name of one of torchvision's parameters; "" for those of its linear layer, and for strangers."""
    module, _, kind = name.rpartition(".")
    if module in STEM:
        return f"{STEM[module]}.{kind}"
    match = re.fullmatch(r"layer([1-4])\.([01])\.(.+)", module)
    if match is None or match[3] not in BLOCK:
        return ""
    block = BLOCKS_A_STAGE * (int(match[1]) - 1) + int(match[2])
    return f"stages.{block}.{BLOCK[match[3]]}.{kind}"


def _renamed(path: Path, found: object) -> dict[str, Tensor]:
    if not isinstance(found, Mapping) or not isinstance(found.get(FIRST), Tensor):
        raise DataError(str(path), f"must hold {FIRST}", type(found).__name__, _REMEDY)
    return {our_name(name): value for name, value in found.items() if our_name(name)}
