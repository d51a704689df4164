"""CD-PercLoss: contrastive divergence with a perceptron loss, one modality missing at a time."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number
from bogc.models.generative.gibbs import bernoulli, draw_visible, gibbs_step
from bogc.models.generative.mdrnn import MDRNN
from bogc.models.generative.objective import Memory, Objective, Step, check_several
from bogc.models.generative.rbm import MultimodalRBM
from bogc.models.generative.sparsity import Sparsity


@torch.no_grad()
def lowest_sample(
    rbm: MultimodalRBM,
    observed: Mapping[str, Float[Tensor, "N _"]],
    steps: int,
    generator: torch.Generator | None,
) -> dict[str, Tensor]:
    """Of a Gibbs chain for what ``observed`` lacks, keep each sample's state of lowest free energy (6.38).

    The chain starts from the hidden units that the observed modalities, scaled up to stand in for the
    missing ones (one of two counts twice), give; its first state and the next ``steps`` are candidates.

    Returns:
        Missing modality -> state, [N, width], binary.
    """
    missing = tuple(name for name in rbm.names if name not in observed)
    projected = rbm.project(observed)
    held = rbm.hidden_bias + projected
    start = torch.sigmoid(rbm.hidden_bias + len(rbm.names) / len(observed) * projected)
    state = draw_visible(rbm, bernoulli(start, generator), missing, generator)
    best, lowest = state, rbm.free_energy({**observed, **state})
    for _ in range(steps):
        state = gibbs_step(rbm, held, state, generator)
        energy = rbm.free_energy({**observed, **state})
        better = energy < lowest
        best = {name: torch.where(better[:, None], state[name], best[name]) for name in missing}
        lowest = torch.where(better, energy, lowest)
    return best


def perceptron_loss(
    rbm: MultimodalRBM,
    batch: Mapping[str, Float[Tensor, "N _"]],
    negatives: Mapping[str, Mapping[str, Float[Tensor, "N _"]]],
) -> Float[Tensor, ""]:
    """Free energy of the data less that of the data with one modality replaced, negatives held (6.38).

    Args:
        rbm: The model.
        batch: Modality -> data.
        negatives: For each modality left out in turn, what stands in its place.

    Returns:
        Mean over the samples and over the modalities left out.
    """
    energies = [rbm.free_energy({**batch, **negative}).mean() for negative in negatives.values()]
    return rbm.free_energy(batch).mean() - torch.stack(energies).mean()


PUBLISHED_SPARSITY = Sparsity(0.1, 0.1)


@dataclass(frozen=True)
class PerceptronCD(Objective):
    """CD-PercLoss with published settings (Sohn, Shang and Lee 2014).

    Attributes:
        steps: Gibbs steps of the missing modality a batch.
        sparsity: Penalty through the hidden bias.

    Raises:
        RangeError: ``steps`` is negative.
    """

    steps: int = 10
    sparsity: Sparsity = PUBLISHED_SPARSITY

    def __post_init__(self) -> None:
        check_number("steps", self.steps, self.steps >= 0, "must not be negative", "Use 10.")

    def start(self, network: MDRNN, generator: torch.Generator | None) -> Memory:
        """No chains; ConfigError with a single modality."""
        check_several(network)
        return super().start(network, generator)

    def step(
        self, network: MDRNN, batch: Mapping[str, Tensor], memory: Memory, generator: torch.Generator | None
    ) -> Step:
        """Draw binary data from the batch, leave out each modality in turn, and compare free energies."""
        rbm = network.joint
        with torch.no_grad():
            data = {n: bernoulli(network.encode(values, n), generator) for n, values in batch.items()}
            activity = self.sparsity.running(memory.activity, torch.sigmoid(rbm.hidden_logits(data)))
        negatives = {}
        for missing in rbm.names:
            observed = {name: values for name, values in data.items() if name != missing}
            negatives[missing] = lowest_sample(rbm, observed, self.steps, generator)
        objective = perceptron_loss(rbm, data, negatives)
        penalty = self.sparsity.bias_penalty(activity, rbm.hidden_bias)
        return Step(objective + penalty, objective.detach(), Memory(activity))
