"""Blocks: the groups of parameters over which a prior is pooled and an update is logged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Block:
    """Parameters that are calibrated together: by default those of one layer.

    Attributes:
        name: Path of the layer, for logs and pictures.
        modality: The modality that owns it, or ``"shared"``.
        parameters: Its trainable tensors; flattened and concatenated they are the D dimensions.
    """

    name: str
    modality: str
    parameters: tuple[nn.Parameter, ...]

    @property
    def size(self) -> int:
        """D, the number of dimensions."""
        return sum(parameter.numel() for parameter in self.parameters)

    def flatten(self, gradients: Sequence[Tensor | None]) -> Float[Tensor, "rows D"] | None:
        """Concatenate row-wise gradients ``[rows, *shape]``, one a parameter.

        A parameter that the loss does not reach counts as zero; None is returned if it reaches none.
        """
        rows = next((len(gradient) for gradient in gradients if gradient is not None), None)
        if rows is None:
            return None
        flat = [
            parameter.new_zeros(rows, parameter.numel()) if gradient is None else gradient.reshape(rows, -1)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
        ]
        return torch.cat(flat, dim=1)

    def split(self, flat: Float[Tensor, " D"]) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each parameter with its part of ``flat``, in the parameter's own shape."""
        sizes = [parameter.numel() for parameter in self.parameters]
        for parameter, part in zip(self.parameters, flat.split_with_sizes(sizes), strict=True):
            yield parameter, part.view(parameter.shape)


def layer_blocks(modality: str, path: str, module: nn.Module, taken: set[int]) -> Iterator[Block]:
    """Yield one block for each submodule that owns trainable parameters not yet in ``taken``.

    ``taken`` holds the ids of parameters already in a block and is extended: a parameter shared by two
    layers belongs to the first.
    """
    for name, layer in module.named_modules():
        own = tuple(p for p in layer.parameters(recurse=False) if p.requires_grad and id(p) not in taken)
        taken.update(map(id, own))
        if own:
            yield Block(f"{path}.{name}" if name else path, modality, own)
