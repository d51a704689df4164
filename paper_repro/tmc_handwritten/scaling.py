"""Scaling of each feature to [0, 1], by the samples that one may look at."""

from dataclasses import replace

import torch

from bogc.data.dataset import MultimodalDataset


def min_max(part: MultimodalDataset, by: MultimodalDataset) -> MultimodalDataset:
    """Map each feature's range in ``by`` to [0, 1]; a feature that is constant there is only shifted.

    The released code scales training and test samples each by themselves, ``min_max(test, test)``, which
    lets a test sample's input depend on the others; ``min_max(test, train)`` does not.

    Args:
        part: Samples to scale, each view [n, features].
        by: Samples that give the ranges.
    """
    inputs = {}
    for view, value in part.inputs.items():
        low, high = by.inputs[view].aminmax(dim=0)
        width = torch.where(high > low, high - low, 1.0)
        inputs[view] = (value - low) / width
    return replace(part, inputs=inputs)
