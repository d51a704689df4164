"""The methods, as the released codes spell them: which losses they see, and in which epochs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from bogc.gradients import FUSION
from bogc.methods import Balancer, sums
from bogc.methods.cggm_released import ReleasedCGGM
from bogc.methods.mmpareto import ReleasedMMPareto
from bogc.methods.ogm_ge import ReleasedOGMGE
from bogc.methods.sums import JointTraining
from bogc.models import ModalOutputs, MultimodalClassifier
from paper_repro.audiovisual.config import AudioVisualConfig

JOINT: Final = "joint"
OGM_GE: Final = "OGM-GE"
MMPARETO: Final = "MMPareto"
MIMO: Final = "MIMO"
CGGM: Final = "CGGM"

Losses = Callable[[MultimodalClassifier, ModalOutputs, Tensor], dict[str, Tensor]]
"""Network, what it returned, and classes [N] to one loss [N] a source."""


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        build: Makes it for a network.
        losses: What it sees of a batch.
        epochs: In which epochs it works; in the others training is plain joint training.
    """

    build: Callable[[MultimodalClassifier, AudioVisualConfig], Balancer]
    losses: Losses
    epochs: Callable[[AudioVisualConfig], range]


def fused_only(model: MultimodalClassifier, outputs: ModalOutputs, targets: Tensor) -> dict[str, Tensor]:
    """The loss of the fused logits."""
    return {FUSION: functional.cross_entropy(outputs.fused, targets, reduction="none")}


def with_heads(model: MultimodalClassifier, outputs: ModalOutputs, targets: Tensor) -> dict[str, Tensor]:
    """And one of every modality's own head."""
    return fused_only(model, outputs, targets) | _each(outputs.unimodal, targets)


def with_slices(model: MultimodalClassifier, outputs: ModalOutputs, targets: Tensor) -> dict[str, Tensor]:
    """And one of what the fused head makes of every modality alone, as in BalanceBenchmark."""
    return fused_only(model, outputs, targets) | _each(model.fusion.slices(outputs.features), targets)


def _each(logits: Mapping[str, Tensor], targets: Tensor) -> dict[str, Tensor]:
    return {m: functional.cross_entropy(value, targets, reduction="none") for m, value in logits.items()}


def _always(config: AudioVisualConfig) -> range:
    return range(config.epochs)


def _modulated(config: AudioVisualConfig) -> range:
    return range(config.first_modulated, config.first_modulated + config.modulated_epochs)


def _joint(model: MultimodalClassifier, config: AudioVisualConfig) -> Balancer:
    return JointTraining(model.partition())


def _ogm_ge(model: MultimodalClassifier, config: AudioVisualConfig) -> Balancer:
    return ReleasedOGMGE(model.partition(), model.fusion, config.alpha)


def _mmpareto(model: MultimodalClassifier, config: AudioVisualConfig) -> Balancer:
    return ReleasedMMPareto(model.partition(), config.factor)


def _mimo(model: MultimodalClassifier, config: AudioVisualConfig) -> Balancer:
    return sums.MIMO(model.partition(), config.strength, config.smoothing)


def _cggm(model: MultimodalClassifier, config: AudioVisualConfig) -> Balancer:
    """With one linear classifier a modality; the released ones are transformers of sequences."""
    head = model.fusion
    device = next(head.parameters()).device
    linear = {m: nn.Linear(head.features, head.classes, device=device) for m in head.modalities}
    classifiers = nn.ModuleDict(linear)
    optimiser = Adam(classifiers.parameters(), config.classifier_rate)
    constants = (config.rho, config.direction)
    return ReleasedCGGM(model.partition(), classifiers, optimiser, head.weights, *constants, clip=config.clip)


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        JOINT: Method(_joint, fused_only, _always),
        OGM_GE: Method(_ogm_ge, fused_only, _modulated),
        MMPARETO: Method(_mmpareto, with_slices, _always),
        MIMO: Method(_mimo, with_heads, _always),
        CGGM: Method(_cggm, fused_only, _always),
    }
)
