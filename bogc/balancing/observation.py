"""What a method is shown of one batch."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bogc.errors import LossError
from bogc.gradients import FUSION
from bogc.models import ModalOutputs


@dataclass(frozen=True, eq=False)
class Observation:
    """Losses, and for the methods that look at more than losses, predictions and targets.

    Attributes:
        losses: One loss vector [N] a source; a modality missing from the batch is absent.
        outputs: What the network returned, the tensors that the losses were computed from.
        targets: What the losses compare with, [N, ...].
    """

    losses: Mapping[str, Tensor]
    outputs: ModalOutputs | None = None
    targets: Tensor | None = None

    @property
    def means(self) -> dict[str, Tensor]:
        """Mean loss a source, with its graph."""
        return {source: loss.mean() for source, loss in self.losses.items()}

    @property
    def fusion(self) -> Tensor:
        """Mean fusion loss, with its graph."""
        return self.losses[FUSION].mean()

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
