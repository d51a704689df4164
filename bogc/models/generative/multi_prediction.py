"""Multi-prediction: back-propagation through the mean field that predicts each modality from the others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bogc.checks import check_number
from bogc.models.generative.gibbs import bernoulli
from bogc.models.generative.mdrnn import MDRNN
from bogc.models.generative.mean_field import Kept, unroll
from bogc.models.generative.objective import Memory, Objective, Step, check_several
from bogc.models.generative.sparsity import Sparsity


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


PUBLISHED_SPARSITY = Sparsity(0.1, 0.1)


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
    sparsity: Sparsity = PUBLISHED_SPARSITY

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
