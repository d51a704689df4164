"""What a method is shown of one batch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bogc.balancing.share import Share
from bogc.errors import LossError
from bogc.gradients import FUSION, Estimate, ModalityPartition, MomentEstimator, Part, Place
from bogc.gradients.moment_estimator import State
from bogc.models import ModalOutputs

Gradients = Mapping[nn.Parameter, Tensor]


@dataclass(frozen=True, eq=False)
class Observation:
    """Losses, and for the methods that look at more than losses, predictions and targets.

    A method that is exact when the batch is spread over processes or micro-batches (``Balancer.divisible``)
    looks only at ``values``, ``estimates``, ``parts`` and ``gradient``, of the whole batch and the same in
    every process. The rest is this process' own: a part of the batch where ``share`` is not whole.

    Attributes:
        losses: One loss vector [N] a source; a modality missing from the batch is absent.
        outputs: What the network returned, the tensors that the losses were computed from.
        targets: What the losses compare with, [N, ...].
        part: Where the losses stand in the whole batch; None: they are the whole.
    """

    losses: Mapping[str, Tensor]
    outputs: ModalOutputs | None = None
    targets: Tensor | None = None
    part: Share | None = None

    @property
    def share(self) -> Share:
        """Where the losses stand in the whole batch."""
        places = {source: Place.of(len(loss)) for source, loss in self.losses.items()}
        return self.part or Share(places)

    @property
    def means(self) -> dict[str, Tensor]:
        """Mean loss a source, with its graph."""
        return {source: loss.mean() for source, loss in self.losses.items()}

    @property
    def fusion(self) -> Tensor:
        """Mean fusion loss, with its graph."""
        return self.losses[FUSION].mean()

    def values(self) -> dict[str, Tensor]:
        """Mean loss a source over the whole batch, without graph; sources of other processes included."""
        return self.share.means(self.losses)

    def parts(
        self, estimator: MomentEstimator, partition: ModalityPartition, only: Collection[str] | None = None
    ) -> dict[str, Part]:
        """Measure the gradient of every source, or of ``only`` some, over the whole batch."""
        chosen = self.losses if only is None else {s: self.losses[s] for s in only if s in self.losses}
        share = self.share if only is None else self.share.of(only)
        return share.parts(chosen, estimator, partition.blocks)

    def estimates(
        self,
        estimator: MomentEstimator,
        partition: ModalityPartition,
        states: Mapping[str, State],
        only: Collection[str] | None = None,
    ) -> dict[str, Estimate]:
        """Estimate the moments of every source, or of ``only`` some, over the whole batch."""
        if self.share.whole:
            chosen = {s: loss for s, loss in self.losses.items() if only is None or s in only}
            return estimator.estimate(chosen, partition.blocks, states)
        parts = self.parts(estimator, partition, only)
        return {source: estimator.conclude(part, states.get(source, {})) for source, part in parts.items()}

    def total(self, own: Mapping[str, Tensor], partition: ModalityPartition) -> tuple[list[str], Tensor]:
        """Add up one number a modality over the processes.

        Args:
            own: Numbers, scalars of one dtype, of the modalities that this process has, at least one.
            partition: Names all modalities.

        Returns:
            The modalities that any process has, and their sums [M].
        """
        if self.share.team.size == 1:
            return list(own), torch.stack(list(own.values()))
        names, some = partition.modalities, next(iter(own.values()))
        every = self.share.team.gather([int(name in own) for name in names], some)
        present = [name for name, *seen in zip(names, *every, strict=True) if any(seen)]
        summed = self.share.team.sum([own.get(name, torch.zeros_like(some)) for name in present])
        return present, torch.stack(summed)

    def gradient(
        self, weights: Mapping[str, Tensor | float], partition: ModalityPartition, estimator: MomentEstimator
    ) -> Gradients:
        """Gradient of the sum of ``weights`` times mean losses over the whole batch, in one backward pass.

        Where there were micro-batches before, their gradients by source are taken, measured by ``estimator``.
        Parameters that no weighted loss reaches are left out.
        """
        if self.share.earlier.counts:
            return _combined(self.parts(estimator, partition), weights, partition)
        terms = [
            weights[source] * (self.losses[source].sum() / place.count)
            for source, place in self.share.places.items()
            if source in weights and source in self.losses
        ]
        own = gradients_of(torch.stack(terms).sum(), partition) if terms else {}
        return own if self.share.whole else self._summed(own, partition)

    def predictions(self, method: str) -> tuple[ModalOutputs, Tensor]:
        """Return outputs and targets for ``method``, which needs them.

        Raises:
            LossError: ``backward`` was called without them, or no modality has features.
        """
        if self.outputs is None or self.targets is None:
            missing = "outputs" if self.outputs is None else "targets"
            raise LossError(
                missing, f"must be given to {method}", None, "Call backward(losses, outputs, targets)."
            )
        if not self.outputs.features:
            rule = f"must hold a modality's for {method}"
            raise LossError("outputs.features", rule, "none", "Pass those of every encoder that ran.")
        return self.outputs, self.targets

    def _summed(self, own: Gradients, partition: ModalityPartition) -> Gradients:
        """Add up over processes; a parameter that is reached in any of them counts."""
        parameters = partition.parameters
        every = self.share.team.gather([int(p in own) for p in parameters], parameters[0])
        reached = [p for p, *seen in zip(parameters, *every, strict=True) if any(seen)]
        summed = self.share.team.sum([own[p] if p in own else torch.zeros_like(p) for p in reached])
        return dict(zip(reached, summed, strict=True))


def gradients_of(total: Tensor, partition: ModalityPartition, retain_graph: bool = False) -> Gradients:
    """Gradient of a scalar in one backward pass; parameters that it does not reach are left out."""
    parameters = partition.parameters
    found = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=retain_graph)
    return {p: g for p, g in zip(parameters, found, strict=True) if g is not None}


def _combined(
    parts: Mapping[str, Part], weights: Mapping[str, Tensor | float], partition: ModalityPartition
) -> Gradients:
    """Weighted sum of mean gradients."""
    gradients: dict[nn.Parameter, Tensor] = {}
    for block in partition.blocks:
        terms = [
            weights[source] * part.rows[block.name][0]
            for source, part in parts.items()
            if source in weights and block.name in part.rows
        ]
        if terms:
            gradients |= dict(block.split(torch.stack(terms).sum(0)))
    return gradients
