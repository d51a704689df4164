"""Training objectives of the generative models: likelihood, perceptron loss, multi-prediction, sparsity.

Likelihood is by persistent contrastive divergence (PCD); CD-PercLoss is contrastive divergence with a
perceptron loss, one modality missing at a time; multi-prediction goes back through the mean field that
predicts each modality from the others.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bogc.checks import check_number
from bogc.errors import ConfigError
from bogc.models.generative.mdrnn import MDRNN, Kept, unroll
from bogc.models.generative.rbm import MultimodalRBM, bernoulli, draw_visible, gibbs_step

_LEAST_ACTIVITY = 1e-6  # keeps the logarithm finite for a unit that never fires


@dataclass(frozen=True)
class Sparsity:
    """How strongly, and towards which mean activity.

    Attributes:
        weight: Factor of the penalty; 0 turns it off.
        target: Mean activity wanted, in (0, 1).
        damping: Share of the old running mean that a batch leaves, in [0, 1).

    Raises:
        RangeError: A number lies outside its range.
    """

    weight: float
    target: float
    damping: float = 0.9

    def __post_init__(self) -> None:
        check_number("weight", self.weight, self.weight >= 0, "must not be negative", "0 turns it off.")
        check_number("target", self.target, 0 < self.target < 1, "must lie in (0, 1)", "Use 0.05 to 0.1.")
        check_number("damping", self.damping, 0 <= self.damping < 1, "must lie in [0, 1)", "Use 0.9.")

    def running(self, old: Float[Tensor, " H"], hidden: Float[Tensor, "N H"]) -> Float[Tensor, " H"]:
        """Running mean activity after a batch with these hidden probabilities."""
        return self.damping * old + (1 - self.damping) * hidden.detach().mean(0)

    def bias_penalty(self, activity: Float[Tensor, " H"], bias: Float[Tensor, " H"]) -> Float[Tensor, ""]:
        """Sum over units of weight (activity - target) bias.

        Its gradient lowers the bias of a unit that fires too often, and touches nothing else.
        """
        return self.weight * ((activity.detach() - self.target) * bias).sum()

    def cross_entropy(self, hidden: Float[Tensor, "N H"]) -> Float[Tensor, ""]:
        """Sum over units of the weighted cross-entropy between target and mean activity of the batch.

        Differentiable in the hidden probabilities, and least where every mean is the target.
        """
        mean = hidden.mean(0).clamp(_LEAST_ACTIVITY, 1 - _LEAST_ACTIVITY)
        return -self.weight * (self.target * mean.log() + (1 - self.target) * (-mean).log1p()).sum()


@dataclass(frozen=True, eq=False)
class Memory:
    """What an objective carries from one step to the next.

    Attributes:
        activity: Running mean activity of the joint hidden units, [H].
        chains: Modality -> states of the persistent chains, [chains, width]; empty without any.
    """

    activity: Float[Tensor, " H"]
    chains: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Step:
    """What a batch yields.

    Attributes:
        loss: What is differentiated: the objective and its sparsity penalty.
        objective: The objective alone, detached; for reports.
        memory: For the next step.
    """

    loss: Float[Tensor, ""]
    objective: Float[Tensor, ""]
    memory: Memory


class Objective(ABC):
    """Settings of a training method; all that changes during training is in ``Memory``."""

    def parameters(self, network: MDRNN) -> Iterable[nn.Parameter]:
        """What is trained: the joint layer, with the paths below it held, unless a subclass says more."""
        return network.joint.parameters()

    def start(self, network: MDRNN, generator: torch.Generator | None) -> Memory:
        """Memory before the first step."""
        return Memory(torch.zeros_like(network.joint.hidden_bias, requires_grad=False))

    @abstractmethod
    def step(
        self, network: MDRNN, batch: Mapping[str, Tensor], memory: Memory, generator: torch.Generator | None
    ) -> Step:
        """Evaluate a batch with every modality, [N, width], values in [0, 1]; nothing is changed."""


def check_several(network: MDRNN) -> None:
    """Raise ConfigError unless one modality can be predicted from another."""
    if len(network.joint.names) < 2:
        remedy = "Train a single modality with PersistentCD."
        raise ConfigError("network", "must have two modalities or more", list(network.joint.names), remedy)


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


LIKELIHOOD_SPARSITY = Sparsity(0.3, 0.05)


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
    sparsity: Sparsity = LIKELIHOOD_SPARSITY

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


PERCEPTRON_SPARSITY = Sparsity(0.1, 0.1)


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
    sparsity: Sparsity = PERCEPTRON_SPARSITY

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


def prediction_loss(
    network: MDRNN,
    batch: Mapping[str, Float[Tensor, "N _"]],
    missing: str,
    rounds: int,
    mask: Float[Tensor, "N V"],
    most_kept: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, "N H"]]:
    """Cross-entropy of one modality, predicted from the others by unrolled mean field.

    Args:
        network: The model.
        batch: Every modality, [N, width], values in [0, 1].
        missing: The modality to predict.
        rounds: Rounds of 6.41 between the start and the prediction.
        mask: 1 for the units of the missing modality that are given all the same, else 0.
        most_kept: Largest share of units that ``mask`` may keep.

    Returns:
        The cross-entropy, summed over the units that were not given and averaged over the batch, and the
        hidden means behind the prediction.
    """
    observed = {name: values for name, values in batch.items() if name != missing}
    kept = Kept({missing: batch[missing] * mask}, {missing: mask}, most_kept)
    hidden, logits = unroll(network, observed, rounds, kept)
    errors = functional.binary_cross_entropy_with_logits(logits[missing], batch[missing], reduction="none")
    return (errors * (1 - mask)).sum(1).mean(), hidden


PREDICTION_SPARSITY = Sparsity(0.1, 0.1)


@dataclass(frozen=True)
class MultiPrediction(Objective):
    """Multi-prediction training of the whole network, paths included (Sohn, Shang and Lee 2014).

    Attributes:
        rounds: Mean-field rounds to unroll.
        most_kept: Largest share of a missing modality's units that are given all the same; the share of a
            batch is drawn uniformly below it. 0 leaves the modality out entirely.
        sparsity: Penalty on the mean hidden activity of the batch, differentiated with the rest.

    Raises:
        RangeError: ``rounds`` is negative or ``most_kept`` outside [0, 1).
    """

    rounds: int = 5
    most_kept: float = 0.25
    sparsity: Sparsity = PREDICTION_SPARSITY

    def __post_init__(self) -> None:
        check_number("rounds", self.rounds, self.rounds >= 0, "must not be negative", "Use 5.")
        valid = 0 <= self.most_kept < 1
        check_number("most_kept", self.most_kept, valid, "must lie in [0, 1)", "Use 0.25.")

    def parameters(self, network: MDRNN) -> Iterable[nn.Parameter]:
        """Every parameter of the network."""
        return network.parameters()

    def start(self, network: MDRNN, generator: torch.Generator | None) -> Memory:
        """Nothing to remember; ConfigError with a single modality."""
        check_several(network)
        return super().start(network, generator)

    def step(
        self, network: MDRNN, batch: Mapping[str, Tensor], memory: Memory, generator: torch.Generator | None
    ) -> Step:
        """Leave out each modality in turn; the objective is the sum of their cross-entropies."""
        masks = {name: self._mask(values, generator) for name, values in batch.items()}
        results = [
            prediction_loss(network, batch, name, self.rounds, masks[name], self.most_kept)
            for name in network.joint.names
        ]
        objective = torch.stack([loss for loss, _ in results]).sum()
        penalty = torch.stack([self.sparsity.cross_entropy(hidden) for _, hidden in results]).sum()
        return Step(objective + penalty, objective.detach(), memory)

    def _mask(self, values: Tensor, generator: torch.Generator | None) -> Tensor:
        share = torch.rand((), generator=generator, dtype=torch.float32, device=values.device)
        return bernoulli((self.most_kept * share).to(values.dtype).expand_as(values), generator)
