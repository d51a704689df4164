"""Standardisation by the statistics of the training samples."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from bogc.data.dataset import MultimodalDataset
from bogc.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Standardiser:
    """Shift and scale of each channel; made by :meth:`fit`.

    Attributes:
        loc: Modality to the mean of each channel, float64, [channels].
        scale: Modality to the population standard deviation of each channel, float64, [channels]; 1 for a
            channel that is constant in the training samples, which is then only shifted.
    """

    loc: dict[str, Float64[Tensor, " _"]]
    scale: dict[str, Float64[Tensor, " _"]]

    @classmethod
    def fit(cls, dataset: MultimodalDataset, train_indices: Tensor) -> "Standardiser":
        """Measure the channels (axis 1) over the training samples and all trailing axes.

        Args:
            dataset: The whole data set; only its training samples are read.
            train_indices: int64, [train], at least two.

        Raises:
            BogcError: The indices do not fit the data set; see ``MultimodalDataset.subset``.
        """
        training = dataset.subset(train_indices)
        statistics = {modality: _loc_and_scale(value) for modality, value in training.inputs.items()}
        return cls(
            {modality: loc for modality, (loc, _) in statistics.items()},
            {modality: scale for modality, (_, scale) in statistics.items()},
        )

    def apply(self, dataset: MultimodalDataset) -> MultimodalDataset:
        """Standardise every sample; computed in float64, returned in the dtype and on the device it came in.

        Raises:
            DataError: The data set has other modalities than the one fitted.
            ShapeError: A modality has another number of channels.
            NonFiniteError: A result does not fit into the dtype.
        """
        if dataset.inputs.keys() != self.loc.keys():
            rule = f"must have the modalities {list(self.loc)}"
            raise DataError("dataset", rule, list(dataset.inputs), "Fit a Standardiser to this data set.")
        inputs = {modality: self._standardised(modality, value) for modality, value in dataset.inputs.items()}
        return replace(dataset, inputs=inputs)

    def _standardised(self, modality: str, value: Tensor) -> Tensor:
        loc, scale = self.loc[modality].to(value.device), self.scale[modality].to(value.device)
        if value.shape[1] != len(loc):
            rule = f"must have {len(loc)} channels"
            raise ShapeError(f"inputs[{modality!r}]", rule, list(value.shape), "Fit a Standardiser to it.")
        channels = (-1,) + (1,) * (value.ndim - 2)
        return ((value.double() - loc.view(channels)) / scale.view(channels)).to(value.dtype)


def _loc_and_scale(value: Tensor) -> tuple[Tensor, Tensor]:
    """Give mean and scale, both float64, [channels], of ``value``, [n, channels, ...]."""
    rows = value.double().transpose(0, 1).flatten(1)
    deviation = rows.std(dim=1, correction=0)
    # Compared exactly, because rounding gives a constant channel a tiny deviation rather than zero.
    constant = (rows.amin(dim=1) == rows.amax(dim=1)) | (deviation == 0)
    return rows.mean(dim=1), torch.where(constant, 1.0, deviation)
