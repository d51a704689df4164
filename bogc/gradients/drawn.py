"""Gradients at draws of the last layers from their Laplace posterior: mean and variance of each dimension."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from bogc.checks import check_number, check_real, check_type, check_whole
from bogc.errors import LossError, PartitionError, UnsuitableError
from bogc.gradients.closure import Reevaluation
from bogc.gradients.differentiate import gradient, gradient_rows, mean_cotangent, sample_cotangents
from bogc.gradients.estimators import ESTIMATORS, Buffers, Losses, MomentEstimator, mean_gradients
from bogc.gradients.groups import GradientGroup
from bogc.gradients.losses import check_finite_step
from bogc.gradients.moments import welford
from bogc.gradients.partition import ModalityPartition

Heads = Mapping[str, nn.Module]
"""Source -> its last layer."""
Layers = dict[str, tuple[nn.Parameter, ...]]
"""Source -> parameters of its last layer."""
ROWS: Final = 64
"""Samples whose scores are differentiated together."""
FREE: Final = ("torch::autograd::AccumulateGrad", "TBackward", "Transpose", "Permute", "View", "UnsafeView",
               "Reshape", "Expand", "Squeeze", "Unsqueeze", "ToCopy")  # fmt: skip
"""How the names of graph nodes begin that are no operations on the way to a layer."""


@ESTIMATORS.register("drawn")
@dataclass(frozen=True)
class Drawn(MomentEstimator):
    """Moments of the gradient that uncertain last layers induce, over S draws of their parameters.

    phi ~ Normal(phi_hat, (Diag(F) + delta I)^-1), one a source: a diagonal Laplace approximation with F the
    *mean* over samples of the squared gradients of the losses, taken as negative log likelihoods. It is thus
    as wide as after one observation; the batch size has no part in it. Where sources have a last layer in
    common, their F add up. At each draw all last layers are replaced at once, the losses are evaluated
    again, and each source's mean loss is differentiated with respect to all parameters; mean and variance,
    over S - 1, are of the S gradients. What is called the gradient stays that at phi_hat.

    It costs S + 1 evaluations of the closure and as many backward passes a source, and keeps no state but
    the number of the step, which with ``seed`` decides the draws. Depends on the unit of the losses.

    Attributes:
        draws: S >= 2.
        damping: delta > 0, the precision of the parameters' prior.
        seed: Of the draws, which leave torch's global generators alone.
        heads: Last layer by source; where none is given it is found, as ``last_layers`` says.
        vectorize: Whether scores of samples are differentiated in one pass; not every operator can.
        again: Evaluates the losses again; ``backward`` puts it there.
        step: Number of the step, likewise.
    """

    draws: int = 8
    damping: float = 1.0
    seed: int = 0
    heads: Heads | None = None
    vectorize: bool = True
    again: Reevaluation | None = field(default=None, repr=False, compare=False)
    step: int = field(default=0, repr=False, compare=False)
    needs_closure: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole(draws=self.draws)
        check_number("draws", self.draws, self.draws >= 2, "must be at least 2 for a variance", "Use 8.")
        check_real(damping=self.damping)
        valid = 0 < self.damping < float("inf")
        check_number("damping", self.damping, valid, "must be positive and finite", "Use 1.")
        for source, module in (self.heads or {}).items():
            check_type(f"heads[{source!r}]", module, nn.Module, "Pass the source's last layer.")

    def bound(self, again: Reevaluation | None, step: int) -> "Drawn":
        """See the base class.

        Raises:
            LossError: There is no closure.
        """
        return replace(self, again=required(again), step=step)

    def measure(
        self, losses: Losses, partition: ModalityPartition, unit: float, spare: Buffers
    ) -> list[GradientGroup]:
        """See the base class; ``counts`` are 1, as the variance is that of the batch's gradient itself.

        Raises:
            LossError: There is no closure, or it returns other losses.
            PartitionError: A source has no last layer.
            NonFiniteError: A gradient at a draw is NaN or infinite.
        """
        again = required(self.again)
        cotangents = {source: mean_cotangent(loss, unit=unit) for source, loss in losses.items()}
        groups = mean_gradients(losses, partition, cotangents, spare)
        means = [torch.zeros_like(group.gradients) for group in groups]
        scatters = [torch.zeros_like(mean) for mean in means]
        buffers: Buffers = {}
        for count, values in enumerate(self._values(self.scales(losses, partition)), 1):
            with again.at(values) as drawn:
                found = mean_gradients(drawn, partition, cotangents, buffers)
            check_same_layers(groups, found)
            for mean, scatter, group in zip(means, scatters, found, strict=True):
                welford(mean, scatter, group.gradients, count)
            buffers |= {group.layout.key: group.gradients for group in found}
        check_finite_step({"gradient at draws of the last layers": scatters})
        alone, freedom = dict.fromkeys(losses, 1), dict.fromkeys(losses, self.draws - 1)
        return [
            replace(group, counts=alone, scatter=scatter, freedom=freedom, drawn=mean)
            for group, scatter, mean in zip(groups, scatters, means, strict=True)
        ]

    def scales(self, losses: Losses, partition: ModalityPartition) -> dict[nn.Parameter, Tensor]:
        """Standard deviation of each parameter of a last layer under its Laplace posterior.

        Raises:
            PartitionError: A source has no last layer, or does not reach the one that is given.
        """
        fisher: dict[nn.Parameter, Tensor] = {}
        for source, layer in self.last_layers(losses, partition).items():
            for parameter, own in zip(layer, self._fisher(losses[source], layer), strict=True):
                fisher[parameter] = fisher[parameter] + own if parameter in fisher else own
        return {p: laplace_variance(own, self.damping).sqrt() for p, own in fisher.items()}

    def last_layers(self, losses: Losses, partition: ModalityPartition) -> Layers:
        """Parameters of each source's last layer, of those that its loss reaches.

        The layer that is given; else the layer, or layers, whose parameters are the fewest operations away
        from the loss in its graph, with all parameters of the same layer.

        Raises:
            PartitionError: A source has none, or a head is of no source.
        """
        heads = self.heads or {}
        unknown = sorted(heads.keys() - set(partition.sources))
        if unknown:
            rule, remedy = f"must be of the sources {list(partition.sources)}", "Rename them."
            raise PartitionError("heads", rule, unknown, remedy)
        return {s: _reached(s, losses[s], heads.get(s), partition) for s in partition.sources if s in losses}

    def shown(self, losses: Losses, partition: ModalityPartition) -> dict[str, list[str]]:
        """See the base class."""
        layers = self.last_layers(losses, partition)
        return {source: partition.names_of(layer) for source, layer in layers.items()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "MomentEstimator":
        """Take ``draws``, ``damping``, ``draw_seed`` and ``heads``."""
        return cls(settings["draws"], settings["damping"], settings["draw_seed"], settings["heads"])

    def _fisher(self, losses: Tensor, layer: tuple[nn.Parameter, ...]) -> list[Tensor]:
        """Mean over samples of squared gradients, parameter by parameter."""
        total = [torch.zeros_like(parameter) for parameter in layer]
        for part in sample_cotangents(losses).split(ROWS):
            try:
                rows = gradient_rows(losses, layer, part, self.vectorize)
            except RuntimeError as error:
                if not self.vectorize:
                    raise
                rule, remedy = "must be vectorisable from its last layer on", "Use Drawn(vectorize=False)."
                raise UnsuitableError("loss", rule, str(error).splitlines()[0][:120], remedy) from error
            for own, parameter in zip(total, layer, strict=True):
                own.add_(torch.stack([row[id(parameter)] for row in rows]).square_().sum(0))
        return [own.div_(len(losses)) for own in total]

    def _values(self, scales: Mapping[nn.Parameter, Tensor]) -> Iterator[dict[nn.Parameter, Tensor]]:
        """Draws of all last layers, made on the CPU, so that they are the same on every device."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        for _ in range(self.draws):
            yield {p: normal_draw(p.detach(), scale, generator) for p, scale in scales.items()}


def required(again: Reevaluation | None) -> Reevaluation:
    """Return what evaluates the losses again, or raise LossError where there was no closure."""
    if again is None:
        rule, remedy = "must be a closure, to be evaluated at draws", "Call backward(lambda: losses)."
        raise LossError("losses", rule, "losses at the learned parameters alone", remedy)
    return again


def check_same_layers(groups: Sequence[GradientGroup], drawn: Sequence[GradientGroup]) -> None:
    """Raise LossError unless the losses reach the same layers at a draw as at the learned parameters."""
    if [group.layout.key for group in groups] != [group.layout.key for group in drawn]:
        remedy = "Compute the losses in the same way at all parameters."
        raise LossError("closure", "must reach the same layers at every draw", "others", remedy)


def laplace_variance(fisher: Tensor, damping: float) -> Tensor:
    """Return (F + delta)^-1 for a diagonal F (theory 7.1)."""
    return (fisher + damping).reciprocal()


def normal_draw(loc: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Return loc + scale z, z standard normal from a generator of the CPU, in float32 at least."""
    wide = torch.promote_types(loc.dtype, torch.float32)
    return loc + scale * torch.randn(loc.shape, generator=generator, dtype=wide).to(loc)


def _reached(
    source: str, loss: Tensor, head: nn.Module | None, partition: ModalityPartition
) -> tuple[nn.Parameter, ...]:
    """Parameters of a source's last layer, given or nearest, that its loss reaches."""
    if head is None:
        near = {id(p) for p in nearest(loss, partition)}
        blocks = [b for b in partition.blocks if near & {id(p) for p in b.parameters}]
        own = {id(p) for block in blocks for p in block.parameters}
    else:
        own = {id(p) for p in head.parameters()}
    layer = tuple(p for p in partition.parameters if id(p) in own)
    if layer:
        found = gradient(loss, layer, torch.ones_like(loss))
        layer = tuple(p for p in layer if id(p) in found)
    if not layer:
        rule, remedy = "must reach a last layer with trainable parameters", "Name it: heads={source: module}."
        raise PartitionError(f"losses[{source!r}]", rule, "none" if head is None else head, remedy)
    return layer


def nearest(loss: Tensor, partition: ModalityPartition) -> list[Tensor]:
    """Parameters of the partition that are the fewest operations away from ``loss`` in its graph.

    Transposing, reshaping and casting do not count: they stand between a layer and its own weights.
    """
    known = {id(p) for p in partition.parameters}
    level, seen, found = [loss.grad_fn], set(), list[Tensor]()
    while level and not found:
        following: list[Any] = []
        while level:
            node: Any = level.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            leaf = getattr(node, "variable", None)  # only AccumulateGrad nodes have one
            found += [leaf] if isinstance(leaf, Tensor) and id(leaf) in known else []
            for after in (after for after, _ in node.next_functions if after is not None):
                (level if after.name().startswith(FREE) else following).append(after)
        level = following
    return found
