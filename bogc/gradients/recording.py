"""Inputs of layers, kept on the autograd graph: what moments without per-sample gradients start from.

A forward hook puts a ``LayerCall`` into the metadata of the node that made the layer's output. It lives as
long as the graph does and needs no list of its own: whatever frees the graph frees it, gradient accumulation
keeps one graph a micro-batch, and passes without a graph leave nothing behind.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

CALL: Final = "bogc.layer_call"
INPUT: Final = "bogc.layer_input"


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a layer that has been recorded.

    Attributes:
        layer: The module called.
        inputs: What it was called with, without graph; storage is shared with the graph.
        keywords: What it was called with by name.
        training: Whether the layer was in training mode.
        output_nr: Which output of the node is the layer's.
        versions: Counters of changes in place, of what it was called with and of the layer's buffers.
    """

    layer: nn.Module
    inputs: tuple[Tensor, ...]
    keywords: Mapping[str, Any]
    training: bool
    output_nr: int
    versions: tuple[int, ...]

    @property
    def input(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def is_intact(self) -> bool:
        """Whether inputs and buffers are what the layer saw."""
        return self.versions == _versions(self.layer, self.inputs, self.keywords, self.training)


@dataclass(frozen=True, eq=False)
class Arrival:
    """A recorded call and the gradient [N, ...] that arrived at its output."""

    call: LayerCall
    delta: Tensor


@dataclass(frozen=True, eq=False)
class Uses:
    """How losses depend on parameters.

    Attributes:
        calls: Recorded calls that a loss reaches, each with the edge at which its output's gradient arrives.
        outside: Ids of the leaves that a loss reaches other than through a recorded call of their layer.
    """

    calls: list[tuple[LayerCall, GradientEdge]]
    outside: set[int]


def record(layer: nn.Module, inputs: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> None:
    """Forward hook: keep what the layer was called with on the graph of its (first) output.

    Calls without positional inputs, or with others than tensors, are left out. A layer may call this itself,
    with what its parameters met in place of its input.
    """
    if torch.compiler.is_compiling() or not inputs or not all(isinstance(x, Tensor) for x in inputs):
        return
    first = output[0] if isinstance(output, tuple) else output
    node: Any = first.grad_fn if isinstance(first, Tensor) else None
    if node is None or CALL in node.metadata:  # the layer has done it
        return
    for value in inputs:
        source: Any = value.grad_fn
        if source is not None:
            source.metadata[INPUT] = True
    versions = _versions(layer, inputs, keywords, layer.training)
    values = tuple(value.detach() for value in inputs)
    node.metadata[CALL] = LayerCall(layer, values, keywords, layer.training, first.output_nr, versions)


def watch(modules: Iterable[nn.Module], kinds: Iterable[type[nn.Module]]) -> None:
    """Record all later calls of the layers of exactly these ``kinds`` inside ``modules``.

    Repeating it changes nothing. The hook comes before the user's own, which may replace the output.
    """
    wanted = frozenset(kinds)
    for module in modules:
        for layer in module.modules():
            if type(layer) in wanted and record not in layer._forward_hooks.values():
                layer.register_forward_hook(record, prepend=True, with_kwargs=True)


def unwatch(modules: Iterable[nn.Module]) -> None:
    """Take the hooks of ``watch`` off again."""
    for module in modules:
        for layer in module.modules():
            for key in [key for key, hook in layer._forward_hooks.items() if hook is record]:
                del layer._forward_hooks[key]


def uses(losses: Iterable[Tensor]) -> Uses:
    """Walk the graph once: which recorded calls the losses reach, and which leaves by any other way."""
    found = Uses([], set())
    seen: set[Any] = set()
    stack: list[Any] = [loss.grad_fn for loss in losses]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        call = node.metadata.get(CALL)
        if call is None:
            _note_leaf(node, found.outside)
            stack.extend(following for following, _ in node.next_functions)
        else:
            found.calls.append((call, GradientEdge(node, call.output_nr)))
            stack.extend(_inputs(node, call, found.outside))
    return found


def _inputs(start: Any, call: LayerCall, outside: set[int]) -> list[Any]:
    """Nodes at which a recorded call took its input; leaves on the way that are not its own are noted."""
    own = {id(parameter) for parameter in call.layer.parameters()}
    inputs, seen, reached = [], {start}, set[int]()
    stack = [following for following, _ in start.next_functions]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if INPUT in node.metadata:
            inputs.append(node)
            continue
        _note_leaf(node, reached)
        stack.extend(following for following, _ in node.next_functions)
    outside |= reached - own
    return inputs


def _note_leaf(node: Any, leaves: set[int]) -> None:
    variable = getattr(node, "variable", None)  # only AccumulateGrad nodes have one
    if variable is not None:
        leaves.add(id(variable))


def _versions(
    layer: nn.Module, inputs: Iterable[Tensor], keywords: Mapping[str, Any], training: bool
) -> tuple[int, ...]:
    buffers = () if training else layer.buffers(recurse=False)  # in training, BatchNorm does not read them
    named = (value for value in keywords.values() if isinstance(value, Tensor))
    return tuple(value._version for value in (*inputs, *named, *buffers))
