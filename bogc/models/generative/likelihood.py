"""Maximum likelihood by persistent contrastive divergence."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number
from bogc.models.generative.gibbs import bernoulli, gibbs_step
from bogc.models.generative.mdrnn import MDRNN
from bogc.models.generative.objective import Memory, Objective, Step
from bogc.models.generative.rbm import MultimodalRBM
from bogc.models.generative.sparsity import Sparsity


def likelihood_loss(
    rbm: MultimodalRBM, batch: Mapping[str, Float[Tensor, "N _"]], chains: Mapping[str, Float[Tensor, "C _"]]
) -> Float[Tensor, ""]:
    """Mean free energy of the batch less that of the chains.

    Where the chains follow the model, its expected gradient is that of the mean -log p of a sample; the
    value itself is no likelihood.
    """
    return rbm.free_energy(batch).mean() - rbm.free_energy(chains).mean()


def start_chains(rbm: MultimodalRBM, count: int, generator: torch.Generator | None) -> dict[str, Tensor]:
    """Independent chains, each unit drawn from its bias alone, [count, width] a modality."""
    biases = {name: rbm.visible_bias(name).detach().expand(count, -1) for name in rbm.names}
    return {name: bernoulli(torch.sigmoid(bias), generator) for name, bias in biases.items()}


def advance_chains(
    rbm: MultimodalRBM, chains: Mapping[str, Tensor], steps: int, generator: torch.Generator | None
) -> dict[str, Tensor]:
    """Move every chain by a number of Gibbs steps over all modalities."""
    state = dict(chains)
    for _ in range(steps):
        state = gibbs_step(rbm, rbm.hidden_bias[None], state, generator)
    return state


PUBLISHED_SPARSITY = Sparsity(0.3, 0.05)


@dataclass(frozen=True)
class PersistentCD(Objective):
    """PCD with published settings (Sohn, Shang and Lee 2014, their comparison by maximum likelihood).

    Attributes:
        steps: Gibbs steps of each chain a batch.
        chains: Number of chains.
        sparsity: Penalty through the hidden bias.

    Raises:
        RangeError: ``steps`` or ``chains`` is below 1.
    """

    steps: int = 10
    chains: int = 500
    sparsity: Sparsity = PUBLISHED_SPARSITY

    def __post_init__(self) -> None:
        check_number("steps", self.steps, self.steps >= 1, "must be at least 1", "Use 10.")
        check_number("chains", self.chains, self.chains >= 1, "must be at least 1", "Use 500.")

    def start(self, network: MDRNN, generator: torch.Generator | None) -> Memory:
        """Chains drawn from the visible biases."""
        activity = super().start(network, generator).activity
        return Memory(activity, start_chains(network.joint, self.chains, generator))

    def step(
        self, network: MDRNN, batch: Mapping[str, Tensor], memory: Memory, generator: torch.Generator | None
    ) -> Step:
        """Draw binary data from the batch, move the chains, and compare their free energies."""
        with torch.no_grad():
            data = {n: bernoulli(network.encode(values, n), generator) for n, values in batch.items()}
            activity = self.sparsity.running(
                memory.activity, torch.sigmoid(network.joint.hidden_logits(data))
            )
        chains = advance_chains(network.joint, memory.chains, self.steps, generator)
        objective = likelihood_loss(network.joint, data, chains)
        penalty = self.sparsity.bias_penalty(activity, network.joint.hidden_bias)
        return Step(objective + penalty, objective.detach(), Memory(activity, chains))
