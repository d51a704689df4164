"""Exact within-batch moments without per-sample gradients: one backward pass a source, and products."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number
from bogc.gradients.blocks import Block
from bogc.gradients.contributions import Contributions
from bogc.gradients.layers import LAYERS, Arrival
from bogc.gradients.moment_estimator import (
    Estimate,
    Losses,
    MomentEstimator,
    State,
    check_count,
    check_enough,
)
from bogc.gradients.moments import GradientMoments
from bogc.gradients.partition import ModalityPartition
from bogc.gradients.parts import Part, Place
from bogc.gradients.recording import Uses, uses, watch
from bogc.gradients.sample_moments import sample_moments
from bogc.gradients.source_gradients import ParameterGradients, pop_flat
from bogc.gradients.vjp import mean_cotangent


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

    alike = False  # a pass a sample where a layer is not known, and no pass looks at other processes

    def measure(
        self, losses: Losses, blocks: Sequence[Block], places: Mapping[str, Place]
    ) -> dict[str, Part]:
        """See the base class."""
        used = uses(losses.values())
        found = {s: self._of_source(loss, blocks, used, {}).moments for s, loss in losses.items()}
        return {s: Part.of_moments(m, len(losses[s]), places[s].count) for s, m in found.items()}

    def conclude(self, part: Part, state: State) -> Estimate:
        """See the base class."""
        check_count("PerRow", part.counts[0], 2)
        moments = part.moments()
        return Estimate(moments, {name: m.mean for name, m in moments.items()}, state)

    def _of_source(
        self, losses: Float[Tensor, " N"], blocks: Sequence[Block], used: Uses, state: State
    ) -> Estimate:
        gradients, arrivals = differentiate(losses, [p for block in blocks for p in block.parameters], used)
        contributions = row_contributions(arrivals, gradients.keys(), used.outside, len(losses))
        means, moments, left = {}, {}, []
        for block in blocks:
            reached = {id(p) for p in block.parameters} & gradients.keys()
            if not reached:
                continue
            mean = means[block.name] = pop_flat([block], gradients)
            if reached <= contributions.keys():
                moments[block.name] = _moments(block, mean, contributions, len(losses))
            else:
                left.append(block)
        if left:
            moments |= sample_moments(losses, left, self.chunk, self.vectorize)
        return Estimate(moments, means, state)


def differentiate(
    losses: Float[Tensor, " N"], parameters: Sequence[Tensor], used: Uses
) -> tuple[ParameterGradients, list[Arrival]]:
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


def row_contributions(
    arrivals: list[Arrival], reached: Collection[int], outside: set[int], rows: int
) -> dict[int, Contributions]:
    """Contributions of the rows to the parameters whose every use is a call of one known layer.

    ``arrivals`` is emptied, so that what is not needed any longer can be freed.
    """
    by_layer: dict[int, list[Arrival]] = {}
    claims: Counter[int] = Counter()
    while arrivals:
        arrival = arrivals.pop()
        layer = arrival.call.layer
        if id(layer) not in by_layer:
            claims.update(id(parameter) for parameter in layer.parameters(recurse=False))
        by_layer.setdefault(id(layer), []).append(arrival)
    found: dict[int, Contributions] = {}
    while by_layer:
        _, calls = by_layer.popitem()
        layer = calls[0].call.layer
        rule = LAYERS[type(layer)]
        wanted = {
            name: id(parameter)
            for name, parameter in layer.named_parameters(recurse=False)
            if id(parameter) in reached and id(parameter) not in outside and claims[id(parameter)] == 1
        }
        if wanted and rule.fits(calls, rows):
            made = rule.contributions(layer, calls)
            found |= {key: made[name] for name, key in wanted.items()}
    return found


def _moments(
    block: Block, mean: Float[Tensor, " D"], contributions: dict[int, Contributions], rows: int
) -> GradientMoments:
    scatter = torch.empty_like(mean)
    for (parameter, own_mean), (_, out) in zip(block.split(mean), block.split(scatter), strict=True):
        own = contributions.pop(id(parameter), None)
        if own is None:
            out.zero_()
        else:
            own.scatter(own_mean, out)
    ones = mean.new_ones(1)
    return GradientMoments.unchecked(
        mean=mean, scatter=scatter, count=ones * rows, degrees_of_freedom=ones * (rows - 1)
    )
