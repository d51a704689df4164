"""A multi-modal classifier: one encoder and one head a modality, one fusion head."""

from collections.abc import Mapping

from torch import Tensor, nn

from bogc.errors import ConfigError
from bogc.gradients import ModalityPartition
from bogc.models.encoders import encoder_for
from bogc.models.fusion import ConcatFusion, FusionHead
from bogc.models.modalities import by_modality, check_inputs
from bogc.models.outputs import ModalOutputs


class MultimodalClassifier(nn.Module):
    """Encoders -> features -> unimodal logits and fused logits.

    Args:
        encoders: Modality -> module from its input to features [N, F].
        fusion: Head over all features.

    Raises:
        ConfigError: The head is over other modalities, or torch cannot register the name of one.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], fusion: FusionHead) -> None:
        super().__init__()
        if set(encoders) != set(fusion.modalities):
            rule = f"must have the modalities {list(encoders)}"
            raise ConfigError("fusion", rule, list(fusion.modalities), "Build it for them.")
        self.encoders = by_modality(encoders)
        self.heads = by_modality({m: nn.Linear(fusion.features, fusion.classes) for m in encoders})
        self.fusion = fusion

    @classmethod
    def for_samples(
        cls,
        samples: Mapping[str, Tensor],
        classes: int,
        features: int = 64,
        fusion: type[FusionHead] = ConcatFusion,
    ) -> "MultimodalClassifier":
        """Build with the stock encoders for one sample [...] of each modality."""
        encoders = {modality: encoder_for(sample, features) for modality, sample in samples.items()}
        return cls(encoders, fusion(tuple(samples), features, classes))

    def partition(self) -> ModalityPartition:
        """Encoder and head belong to their modality, the fusion head to none."""
        modalities = {m: (encoder, self.heads[m]) for m, encoder in self.encoders.items()}
        return ModalityPartition(modalities, shared=self.fusion, model=self)

    def forward(self, inputs: Mapping[str, Tensor]) -> ModalOutputs:
        """Predict from the modalities at hand.

        Raises:
            DataError: No modality, or one without an encoder.
        """
        check_inputs(inputs, list(self.encoders))
        features = {m: self.encoders[m](inputs[m]) for m in self.encoders if m in inputs}
        unimodal = {m: self.heads[m](feature) for m, feature in features.items()}
        return ModalOutputs(self.fusion(features), unimodal, features)
