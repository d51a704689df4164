"""Separate gradients of several mean losses: one backward pass each, over what it reaches and no more.

The passes share the forward pass and its graph. A pass costs what lies between its loss and the parameters:
a head's loss does not enter the other encoders, and sources that ran rows of their own through a common
encoder, each in a call of its own, together cost one pass over all rows.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.gradients.blocks import Block
from bogc.gradients.vjp import mean_cotangent

ParameterGradients = dict[int, Tensor]
"""Id of a parameter -> its gradient; parameters that the loss does not reach are absent."""


def source_gradients(losses: Mapping[str, Tensor], blocks: Sequence[Block]) -> dict[str, ParameterGradients]:
    """Differentiate each mean loss by the parameters of ``blocks``; the graph is kept.

    Args:
        losses: Losses [N] by source; N may differ.
        blocks: The parameters.
    """
    parameters = [parameter for block in blocks for parameter in block.parameters]
    found: dict[str, ParameterGradients] = {}
    for source, loss in losses.items():
        (cotangent,) = mean_cotangent(loss)
        gradients = torch.autograd.grad(loss, parameters, cotangent, retain_graph=True, allow_unused=True)
        found[source] = {id(p): g for p, g in zip(parameters, gradients, strict=True) if g is not None}
    return found


def reaches(block: Block, gradients: Mapping[int, Tensor]) -> bool:
    """Whether any parameter of the block has a gradient."""
    return any(id(parameter) in gradients for parameter in block.parameters)


def pop_flat(blocks: Sequence[Block], gradients: ParameterGradients) -> Float[Tensor, " D"]:
    """Concatenate the gradients of ``blocks`` and forget them; unreached parameters count as zero.

    A single gradient is not copied.
    """
    parameters = [parameter for block in blocks for parameter in block.parameters]
    found = [gradients.pop(id(parameter), None) for parameter in parameters]
    flat = [
        p.new_zeros(p.numel()) if g is None else g.reshape(-1) for p, g in zip(parameters, found, strict=True)
    ]
    return flat[0] if len(flat) == 1 else torch.cat(flat)
