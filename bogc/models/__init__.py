"""Multi-modal networks."""

from bogc.models.classifier import MultimodalClassifier
from bogc.models.encoders import encoder_for
from bogc.models.fusion import FUSIONS, ConcatFusion, FusionHead, SumFusion
from bogc.models.outputs import ModalOutputs

__all__ = [
    "FUSIONS",
    "ConcatFusion",
    "FusionHead",
    "ModalOutputs",
    "MultimodalClassifier",
    "SumFusion",
    "encoder_for",
]
