"""Exact within-batch moments without per-sample gradients: one backward pass a source, and products."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.checks import check_number
from bogc.gradients.blocks import Block
from bogc.gradients.contributions import Contributions
from bogc.gradients.graph import leaves
from bogc.gradients.layers import LAYERS
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
from bogc.gradients.recording import Arrival, LayerCall, uses, watch
from bogc.gradients.sample_moments import sample_moments
from bogc.gradients.source_gradients import ParameterGradients


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
        return {s: self._of_source(loss, blocks, states.get(s, {})) for s, loss in losses.items()}

    def alike(self, losses: Losses, blocks: Sequence[Block]) -> bool:
        """See the base class: one pass a source, unless a block needs one a sample."""
        return all(not _unknown(loss, blocks) for loss in losses.values())

    def measure(
        self, losses: Losses, blocks: Sequence[Block], places: Mapping[str, Place]
    ) -> dict[str, Part]:
        """See the base class."""
        found = {source: self._of_source(loss, blocks, {}).moments for source, loss in losses.items()}
        return {s: Part.of_moments(m, len(losses[s]), places[s].count) for s, m in found.items()}

    def conclude(self, part: Part, state: State) -> Estimate:
        """See the base class."""
        check_count("PerRow", part.counts[0], 2)
        moments = part.moments()
        return Estimate(moments, {name: m.mean for name, m in moments.items()}, state)

    def _of_source(self, losses: Float[Tensor, " N"], blocks: Sequence[Block], state: State) -> Estimate:
        gradients, contributions = differentiate(losses, [p for block in blocks for p in block.parameters])
        means, moments, left = {}, {}, []
        for block in blocks:
            keys = {id(parameter) for parameter in block.parameters}
            known = keys.isdisjoint(gradients)
            if known and keys.isdisjoint(contributions):
                continue  # the losses do not reach it
            found = _moments(block, gradients, contributions, len(losses))
            means[block.name] = found.mean
            if known:
                moments[block.name] = found
            else:
                left.append(block)
        if left:
            moments |= sample_moments(losses, left, self.chunk, self.vectorize)
        return Estimate(moments, means, state)


def differentiate(
    losses: Float[Tensor, " N"], parameters: Sequence[Tensor]
) -> tuple[ParameterGradients, dict[int, Contributions]]:
    """Differentiate the *summed* losses in one pass, which stops at the outputs of known layers.

    Returns:
        By id of a parameter that is reached: contributions of the rows to it where its layer is known, of
        which autograd is then not asked for the sum, and its gradient where not.
    """
    used = uses([losses])
    known = known_layers([call for call, _ in used.calls], used.outside, len(losses))
    ours = {key for names in known.values() for key in names.values()}
    theirs = [parameter for parameter in parameters if id(parameter) not in ours]
    calls = [(call, edge) for call, edge in used.calls if call.layer in known]
    wanted: list[Any] = [*theirs, *(edge for _, edge in calls)]
    found = torch.autograd.grad(losses, wanted, torch.ones_like(losses), retain_graph=True, allow_unused=True)
    own, at_calls = found[: len(theirs)], found[len(theirs) :]
    gradients = {id(p): g for p, g in zip(theirs, own, strict=True) if g is not None}
    arrivals = [Arrival(c, g) for (c, _), g in zip(calls, at_calls, strict=True) if g is not None]
    return gradients, _contributions(arrivals, known)


def known_layers(
    calls: Iterable[LayerCall], outside: Container[int], rows: int
) -> dict[nn.Module, dict[str, int]]:
    """Layers of which the rows are known, each with the ids of its parameters that nothing else uses."""
    by_layer: dict[nn.Module, list[LayerCall]] = {}
    for call in calls:
        by_layer.setdefault(call.layer, []).append(call)
    claims = Counter(id(p) for layer in by_layer for p in layer.parameters())
    return {
        layer: {
            name: id(p) for name, p in layer.named_parameters() if claims[id(p)] == 1 and id(p) not in outside
        }
        for layer, own in by_layer.items()
        if type(layer) in LAYERS and LAYERS[type(layer)].fits(own, rows)
    }


def _contributions(
    arrivals: list[Arrival], known: Mapping[nn.Module, Mapping[str, int]]
) -> dict[int, Contributions]:
    """Contributions by id of the parameter; ``arrivals`` is emptied, so that what is done with is freed."""
    by_layer: dict[nn.Module, list[Arrival]] = {}
    while arrivals:
        arrival = arrivals.pop()
        by_layer.setdefault(arrival.call.layer, []).append(arrival)
    found: dict[int, Contributions] = {}
    while by_layer:
        layer, own = by_layer.popitem()
        made = LAYERS[type(layer)].contributions(layer, own) if known[layer] else {}
        found |= {key: made[name] for name, key in known[layer].items()}
    return found


def _unknown(losses: Float[Tensor, " N"], blocks: Sequence[Block]) -> list[Block]:
    """Blocks in which a parameter is reached otherwise than by a known layer."""
    used = uses([losses])
    known = known_layers([call for call, _ in used.calls], used.outside, len(losses))
    rest = {id(leaf) for leaf in leaves([losses])}.difference(*(names.values() for names in known.values()))
    return [block for block in blocks if any(id(parameter) in rest for parameter in block.parameters)]


def _moments(
    block: Block, gradients: ParameterGradients, contributions: dict[int, Contributions], rows: int
) -> GradientMoments:
    """Moments of a block; the scatter of a parameter of which only the gradient is known is not a number."""
    mean = block.parameters[0].new_empty(block.size)
    scatter = torch.empty_like(mean)
    for (parameter, own_mean), (_, own_scatter) in zip(block.split(mean), block.split(scatter), strict=True):
        key = id(parameter)
        if key in contributions:
            contributions.pop(key).write(own_mean, own_scatter)
        elif key in gradients:
            torch.div(gradients.pop(key), rows, out=own_mean)
            own_scatter.fill_(torch.nan)
        else:
            own_mean.zero_()
            own_scatter.zero_()
    ones = mean.new_ones(1)
    return GradientMoments.unchecked(
        mean=mean, scatter=scatter, count=ones * rows, degrees_of_freedom=ones * (rows - 1)
    )
