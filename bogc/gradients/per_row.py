"""Exact within-batch moments without per-sample gradients: one backward pass a source, and products."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number
from bogc.gradients.blocks import Block
from bogc.gradients.layers import LAYERS, Arrival
from bogc.gradients.moment_estimator import Estimate, Losses, MomentEstimator, State, check_enough
from bogc.gradients.moments import GradientMoments
from bogc.gradients.partition import ModalityPartition
from bogc.gradients.recording import Uses, uses, watch
from bogc.gradients.sample_moments import sample_moments
from bogc.gradients.vjp import mean_cotangent

Gradients = Mapping[int, Tensor]
"""Id of a parameter -> a tensor of its shape; parameters that a loss does not reach are absent."""


@dataclass(frozen=True)
class PerRow(MomentEstimator):
    """Mean and scatter of what each row of the batch contributes to the gradient.

    Row n of a layer's input and the gradient that the *summed* losses send to row n of its output give the
    layer's share g_n of the batch gradient: sum_n g_n is N times the gradient of the mean loss, exactly.
    Where samples do not meet before the losses, g_n is the gradient of loss n, and the moments are those of
    ``PerSample``. Where they do meet, as in BatchNorm while training, g_n also holds what row n changes in
    the losses of the others, and leaves out what the others change in its own: the mean is the same, the
    scatter is that of rows' contributions and not of the gradients of single losses.

    The first axis of each layer's input has to number the rows. The kinds in ``LAYERS`` take one pass. Other
    layers, weights that are used outside of their layer, inputs with another number of rows and modules that
    were called before ``attach`` take one backward pass a sample, as ``PerSample`` does, for their blocks.

    Raises:
        TooFewSamplesError: N = 1: one sample says nothing about a variance.

    Args:
        chunk: Samples at a time where passes are made one a sample.
        vectorize: Whether those are made in one vectorised pass a chunk.
    """

    chunk: int = 16
    vectorize: bool = False

    def __post_init__(self) -> None:
        check_number("chunk", self.chunk, self.chunk >= 1, "must be at least 1", "Use 16.")

    def attach(self, partition: ModalityPartition) -> None:
        """Record inputs of the layers in ``LAYERS`` from now on; they live as long as the graph."""
        watch(partition.modules, LAYERS)

    def estimate(
        self, losses: Losses, blocks: Sequence[Block], states: Mapping[str, State]
    ) -> dict[str, Estimate]:
        """See the base class; one backward pass a source."""
        check_enough("PerRow", losses, 2)
        used = uses(losses.values())
        return {s: self._of_source(loss, blocks, used, states.get(s, {})) for s, loss in losses.items()}

    def _of_source(
        self, losses: Float[Tensor, " N"], blocks: Sequence[Block], used: Uses, state: State
    ) -> Estimate:
        means, arrivals = differentiate(losses, [p for block in blocks for p in block.parameters], used)
        scatters = row_scatters(arrivals, means, used.outside, len(losses))
        flat_means, moments, left = {}, {}, []
        for block in blocks:
            reached = {id(p) for p in block.parameters} & means.keys()
            if not reached:
                continue
            flat_means[block.name] = _flatten(block, means)
            if reached <= scatters.keys():
                scatter = _flatten(block, scatters)
                moments[block.name] = _moments(flat_means[block.name], scatter, len(losses))
            else:
                left.append(block)
        if left:
            moments |= sample_moments(losses, left, self.chunk, self.vectorize)
        return Estimate(moments, flat_means, state)


def differentiate(
    losses: Float[Tensor, " N"], parameters: Sequence[Tensor], used: Uses
) -> tuple[dict[int, Tensor], list[Arrival]]:
    """Differentiate the mean loss by parameters and by the outputs of recorded calls, in one pass.

    Returns:
        The gradients, and those of the *summed* losses that arrived at calls; absent if not reached.
    """
    wanted: list[Any] = [*parameters, *(edge for _, edge in used.calls)]
    (cotangent,) = mean_cotangent(losses)
    found = torch.autograd.grad(losses, wanted, cotangent, retain_graph=True, allow_unused=True)
    own, at_calls = found[: len(parameters)], found[len(parameters) :]
    gradients = {id(p): g for p, g in zip(parameters, own, strict=True) if g is not None}
    calls = zip(used.calls, at_calls, strict=True)
    return gradients, [Arrival(call, g * len(losses)) for (call, _), g in calls if g is not None]


def row_scatters(
    arrivals: Iterable[Arrival], means: Gradients, outside: set[int], rows: int
) -> dict[int, Tensor]:
    """Scatter of the rows' contributions, for the parameters whose every use is a call of one known layer."""
    by_layer: dict[int, list[Arrival]] = {}
    for arrival in arrivals:
        by_layer.setdefault(id(arrival.call.layer), []).append(arrival)
    claims: dict[int, int] = {}
    for calls in by_layer.values():
        for parameter in calls[0].call.layer.parameters(recurse=False):
            claims[id(parameter)] = claims.get(id(parameter), 0) + 1
    scatters: dict[int, Tensor] = {}
    for calls in by_layer.values():
        layer = calls[0].call.layer
        rule = LAYERS[type(layer)]
        wanted = {
            name: parameter
            for name, parameter in layer.named_parameters(recurse=False)
            if id(parameter) in means and id(parameter) not in outside and claims[id(parameter)] == 1
        }
        if wanted and rule.fits(calls, rows):
            contributions = rule.contributions(layer, calls)
            for name, parameter in wanted.items():
                scatters[id(parameter)] = contributions[name].scatter(means[id(parameter)])
    return scatters


def _flatten(block: Block, gradients: Gradients) -> Float[Tensor, " D"]:
    parts = [gradients.get(id(p), torch.zeros_like(p)).reshape(-1) for p in block.parameters]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _moments(mean: Float[Tensor, " D"], scatter: Float[Tensor, " D"], rows: int) -> GradientMoments:
    ones = mean.new_ones(1)
    return GradientMoments.unchecked(
        mean=mean, scatter=scatter, count=ones * rows, degrees_of_freedom=ones * (rows - 1)
    )
