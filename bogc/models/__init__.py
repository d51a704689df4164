"""Multi-modal networks."""

from bogc.models.batch_norm import TeamBatchNorm, over_team
from bogc.models.classifier import ModalOutputs, MultimodalClassifier, encoder_for
from bogc.models.fusion import FUSIONS, ConcatFusion, FiLMFusion, FusionHead, GatedFusion, SumFusion
from bogc.models.product_of_experts import ProductOfExperts

__all__ = [
    "FUSIONS",
    "ConcatFusion",
    "FiLMFusion",
    "FusionHead",
    "GatedFusion",
    "ModalOutputs",
    "MultimodalClassifier",
    "ProductOfExperts",
    "SumFusion",
    "TeamBatchNorm",
    "encoder_for",
    "over_team",
]
