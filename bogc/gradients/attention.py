"""What the rows of a batch contribute to nn.MultiheadAttention (Vaswani et al. 2017), batch first.

Its projections are not calls of layers, so no gradient can be caught at their outputs. They and what follows
are computed once more from the recorded inputs, without the rest of the network, and differentiated there.
"""

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bogc.gradients.contributions import Contributions, OuterProducts, Stacked, StoredRows
from bogc.gradients.recording import Arrival, LayerCall

INPUTS: Final = 3
"""Query, key and value."""

APART: Final = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
"""Names of the weights where keys or values have a width of their own."""

MASKS: Final = ("key_padding_mask", "attn_mask")
HEADED: Final = 3
"""Axes of an attention mask that differs between samples and heads."""

Projected = tuple[Float[Tensor, "N L E"], Float[Tensor, "N S E"], Float[Tensor, "N S E"]]


def suits(call: LayerCall) -> bool:
    """Whether the call can be repeated: without dropout, extra keys, or anything of nested tensors."""
    layer = call.layer
    return (
        isinstance(layer, nn.MultiheadAttention)
        and layer.batch_first
        and not (layer.dropout and call.training)
        and layer.bias_k is None
        and not layer.add_zero_attn
        and all(value.ndim == call.input.ndim and not value.is_nested for value in call.inputs)
    )


def attention(layer: nn.MultiheadAttention, arrivals: Sequence[Arrival]) -> dict[str, Contributions]:
    """Weights and biases of the projections into attention and out of it; calls are added up as positions."""
    deltas, inputs = [], []
    joined, out_deltas = [], []
    for arrival in arrivals:
        delta = arrival.delta.to(layer.out_proj.weight.dtype)
        values = [value.to(delta.dtype) for value in arrival.call.inputs]
        attended, found = _repeat(layer, arrival.call, values, delta)
        joined.append(attended)
        out_deltas.append(delta)
        deltas.append(found)
        inputs.append(values)
    into = [torch.cat(list(column), 1) for column in zip(*deltas, strict=True)]
    met = [torch.cat(list(column), 1) for column in zip(*inputs, strict=True)]
    weights = [_outer(delta, x) for delta, x in zip(into, met, strict=True)]
    packed = {"in_proj_weight": Stacked(weights)}
    out = torch.cat(out_deltas, 1)
    return {
        **(packed if layer.in_proj_weight is not None else dict(zip(APART, weights, strict=True))),
        "in_proj_bias": StoredRows(torch.cat([delta.sum(1) for delta in into], 1)),
        "out_proj.weight": _outer(out, torch.cat(joined, 1)),
        "out_proj.bias": StoredRows(out.sum(1)),
    }


def _repeat(
    layer: nn.MultiheadAttention, call: LayerCall, values: Sequence[Tensor], delta: Float[Tensor, "N L E"]
) -> tuple[Tensor, Projected]:
    """Return what goes into the last projection, and the gradients that arrive behind the first three."""
    projected = [p.detach().requires_grad_() for p in _project(layer, values)]
    with torch.enable_grad():
        q, k, v = (p.unflatten(2, (layer.num_heads, -1)).transpose(1, 2) for p in projected)
        mask = _mask(call, delta.dtype)
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        joined = attended.transpose(1, 2).flatten(2)
    query, key, value = torch.autograd.grad(joined, projected, delta @ layer.out_proj.weight.detach())
    return joined.detach(), (query, key, value)


def _project(layer: nn.MultiheadAttention, values: Sequence[Tensor]) -> list[Tensor]:
    """Queries, keys and values."""
    apart = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
    weights = apart if layer.in_proj_weight is None else layer.in_proj_weight.chunk(INPUTS)
    biases = [None] * INPUTS if layer.in_proj_bias is None else layer.in_proj_bias.chunk(INPUTS)
    with torch.no_grad():
        return [functional.linear(x, w, b) for x, w, b in zip(values, weights, biases, strict=True)]


def _mask(call: LayerCall, dtype: torch.dtype) -> Float[Tensor, "N #H #L S"] | None:
    """Both masks as one that is added to the scores."""
    padding, mask = (_added(call.keywords.get(name), dtype) for name in MASKS)
    if padding is not None:
        padding = padding.view(len(padding), 1, 1, -1)
    if mask is not None and mask.ndim == HEADED:
        mask = mask.unflatten(0, (len(call.input), -1))
    if padding is None or mask is None:
        return mask if padding is None else padding
    return mask + padding


def _added(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """True means that a key is not looked at."""
    if mask is None or mask.dtype != torch.bool:
        return None if mask is None else mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask, -torch.inf)


def _outer(delta: Float[Tensor, "N L O"], x: Float[Tensor, "N L K"]) -> OuterProducts:
    return OuterProducts(delta.unsqueeze(1), lambda part: x[part].unsqueeze(1))
