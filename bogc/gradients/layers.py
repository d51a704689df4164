"""What the rows of a batch contribute to the parameters of known layers, from inputs and output gradients.

The first axis of a layer's input numbers the rows of the batch. A layer that is called several times in one
forward pass adds up what a row contributes in each call.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from bogc.gradients import attention
from bogc.gradients.contributions import Contributions, OuterProducts, StoredRows, WordRows
from bogc.gradients.recording import Arrival, LayerCall

LINE: Final = 3
"""Axes of a convolution's input over one axis: rows, channels, positions."""


def linear(layer: nn.Module, arrivals: Sequence[Arrival]) -> dict[str, Contributions]:
    """Weight and bias of nn.Linear on [N, ..., in]."""
    delta = _join([_positions(a.delta) for a in arrivals])
    x = _join([_positions(a.call.input) for a in arrivals])
    bias = delta.squeeze(1) if delta.shape[1] == 1 else delta.sum(1)
    weight = OuterProducts(delta.unsqueeze(1), lambda part: x[part].unsqueeze(1))
    return {"weight": weight, "bias": StoredRows(bias)}


def convolution(layer: nn.Conv1d | nn.Conv2d, arrivals: Sequence[Arrival]) -> dict[str, Contributions]:
    """Weight and bias of a convolution over one or two axes, as a linear layer on its patches."""
    groups = layer.groups
    delta = _join([a.delta.flatten(2) for a in arrivals], 2)

    def inputs(part: slice) -> Tensor:
        x = _join([_patches(layer, a.call.input[part]) for a in arrivals], 2)
        return x.view(len(x), groups, -1, x.shape[2]).transpose(2, 3)

    weight = OuterProducts(delta.unflatten(1, (groups, -1)).transpose(2, 3), inputs)
    return {"weight": weight} | ({} if layer.bias is None else {"bias": StoredRows(delta.sum(2))})


def batch_norm(
    layer: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, arrivals: Sequence[Arrival]
) -> dict[str, Contributions]:
    """Weight and bias on [N, C, ...]; a row's own part only, not what it does to the batch's statistics."""

    def normalised(call: LayerCall) -> Tensor:
        mean, variance = layer.running_mean, layer.running_var
        own = call.training or mean is None
        return functional.batch_norm(
            call.input, None if own else mean, None if own else variance, training=own, eps=layer.eps
        )

    return scale_and_shift(arrivals, normalised, sum_channels)


def group_norm(layer: nn.GroupNorm, arrivals: Sequence[Arrival]) -> dict[str, Contributions]:
    """Weight and bias on [N, C, ...]."""

    def normalised(call: LayerCall) -> Tensor:
        return functional.group_norm(call.input, layer.num_groups, eps=layer.eps)

    return scale_and_shift(arrivals, normalised, sum_channels)


def layer_norm(layer: nn.LayerNorm, arrivals: Sequence[Arrival]) -> dict[str, Contributions]:
    """Weight and bias on [N, ..., *normalized_shape]."""
    last = len(layer.normalized_shape)

    def normalised(call: LayerCall) -> Tensor:
        return functional.layer_norm(call.input, layer.normalized_shape, eps=layer.eps)

    def sum_positions(values: Tensor) -> Tensor:
        return values.flatten(1, -last - 1).sum(1) if values.ndim > last + 1 else values

    return scale_and_shift(arrivals, normalised, sum_positions)


def embedding(layer: nn.Embedding, arrivals: Sequence[Arrival]) -> dict[str, Contributions]:
    """The table of nn.Embedding on indices [N, ...]."""
    inputs = [a.call.input for a in arrivals]
    words = _join([x.flatten(1) if x.ndim > 1 else x.unsqueeze(1) for x in inputs])
    delta = _join([_positions(a.delta) for a in arrivals])
    if layer.padding_idx is not None:
        delta = delta * (words != layer.padding_idx).unsqueeze(-1)
    return {"weight": WordRows(words, delta)}


def scale_and_shift(
    arrivals: Sequence[Arrival],
    normalised: Callable[[LayerCall], Tensor],
    to_rows: Callable[[Tensor], Tensor],
) -> dict[str, Contributions]:
    """Weight and bias of a norm: the normalised input is multiplied by one and added to the other."""
    weight = [to_rows(a.delta * normalised(a.call)) for a in arrivals]
    bias = [to_rows(a.delta) for a in arrivals]
    return {"weight": StoredRows(_total(weight)), "bias": StoredRows(_total(bias))}


def sum_channels(values: Tensor) -> Tensor:
    """[N, C, ...] -> [N, C]."""
    return values.flatten(2).sum(2) if values.ndim > 2 else values


def _positions(values: Tensor) -> Tensor:
    """[N, ..., F] -> [N, L, F]."""
    return values.unsqueeze(1) if values.ndim == 2 else values.flatten(1, -2)


def _join(values: Sequence[Tensor], axis: int = 1) -> Tensor:
    return values[0] if len(values) == 1 else torch.cat(list(values), dim=axis)


def _total(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(list(values)).sum(0)


def _patches(layer: nn.Conv1d | nn.Conv2d, x: Tensor) -> Tensor:
    """What each output position of a convolution sees: [N, C * prod(kernel), L]."""
    pads = _pads(layer)
    if layer.padding_mode != "zeros" or any(before != after for before, after in pads):
        sides = [side for pair in reversed(pads) for side in pair]
        x = functional.pad(x, sides, mode=layer.padding_mode.replace("zeros", "constant"))
        pads = [(0, 0)] * len(pads)
    line = x.ndim == LINE  # unfold wants two axes
    return functional.unfold(
        x.unsqueeze(2) if line else x,
        (1, *layer.kernel_size) if line else layer.kernel_size,
        dilation=(1, *layer.dilation) if line else layer.dilation,
        padding=(0, pads[0][0]) if line else tuple(before for before, _ in pads),
        stride=(1, *layer.stride) if line else layer.stride,
    )


def _pads(layer: nn.Conv1d | nn.Conv2d) -> list[tuple[int, int]]:
    """Padding before and after each axis."""
    if not isinstance(layer.padding, str):
        return [(pad, pad) for pad in layer.padding]
    reach = [
        d * (k - 1) if layer.padding == "same" else 0
        for d, k in zip(layer.dilation, layer.kernel_size, strict=True)
    ]
    return [(total // 2, total - total // 2) for total in reach]


@dataclass(frozen=True)
class LayerRule:
    """How the rows of one kind of layer are found.

    Attributes:
        contributions: Name of each parameter -> contributions of the rows to it.
        axes: Least number of axes of an input whose first axis can be the rows.
        suits: Whether a call is one that the rule is right for.
        inputs: Number of inputs.
    """

    contributions: Callable[[Any, Sequence[Arrival]], dict[str, Contributions]]
    axes: Callable[[Any], int]
    suits: Callable[[LayerCall], bool] = lambda call: not call.keywords
    inputs: int = 1

    def fits(self, calls: Sequence[LayerCall], rows: int) -> bool:
        """Whether every call had ``rows`` rows, and inputs are still what they were."""
        return all(
            len(call.inputs) == self.inputs
            and call.is_intact
            and call.input.ndim >= self.axes(call.layer)
            and len(call.input) == rows
            and self.suits(call)
            for call in calls
        )


_CONVOLUTION = LayerRule(convolution, lambda layer: len(layer.kernel_size) + 2)


def _is_plain_table(call: LayerCall) -> bool:
    layer: Any = call.layer
    return not (layer.sparse or layer.scale_grad_by_freq)


_BATCH_NORM = LayerRule(batch_norm, lambda layer: 2)
LAYERS: Final[dict[type[nn.Module], LayerRule]] = {
    nn.Linear: LayerRule(linear, lambda layer: 2),
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
    nn.BatchNorm3d: _BATCH_NORM,
    nn.LayerNorm: LayerRule(layer_norm, lambda layer: len(layer.normalized_shape) + 1),
    nn.GroupNorm: LayerRule(group_norm, lambda layer: 2),
    nn.Embedding: LayerRule(embedding, lambda layer: 1, suits=_is_plain_table),
    nn.MultiheadAttention: LayerRule(
        attention.attention,
        lambda layer: 3,
        attention.suits,
        attention.INPUTS,
    ),
}
"""Kinds of layers whose rows are known, by exact type; a kind that is not here can be added."""
