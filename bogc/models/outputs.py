"""What a multi-modal network returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ModalOutputs:
    """Predictions of one forward pass.

    Attributes:
        fused: Logits of the fused prediction, [N, C]; log-probabilities are logits too.
        unimodal: Logits of each modality's own head, [N, C], by modality; an expert on all modalities may be
            among them.
        features: Output of each encoder, [N, F], by modality.
    """

    fused: Tensor
    unimodal: dict[str, Tensor]
    features: dict[str, Tensor]
