"""I2M2, a product of experts: one expert a modality and one for all of them together."""

from collections.abc import Mapping
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.checks import check_alike, check_finite, check_floating
from bogc.errors import ConfigError, DataError, PartitionError, ShapeError
from bogc.gradients import ModalityPartition
from bogc.gradients.partition import RESERVED
from bogc.models.classifier import ModalOutputs, check_inputs, encoder_for
from bogc.models.fusion import ConcatFusion, FusionHead, by_modality

JOINT: Final = "joint"


def product_of_experts(
    logits: Mapping[str, Float[Tensor, "N C"]], log_prior: Float[Tensor, " C"] | None = None
) -> Float[Tensor, "N C"]:
    """Log-probabilities of the normalised product of the experts' softmax distributions.

    log p(y|x) = sum over e of log softmax(f_e)_y, less its logsumexp over y (I2M2, arXiv 2405.17613;
    theory 6.22). Computed in float32 at least, whatever the dtype of the logits.

    Args:
        logits: Expert -> f_e, [N, C]; one dtype, one device.
        log_prior: log p(y), up to a constant. If given, (1 - M) log p(y) is added for M experts besides
            ``"joint"`` (theory 6.21), since each of their posteriors holds the prior once; ``"joint"`` is
            then read as the selection p(v = 1 | x, y), which holds none. An option of ours: None is I2M2.

    Raises:
        DataError: No expert.
        ShapeError: Logits or prior differ in shape.
        DtypeError, DeviceError: They are not floating point, or differ.
    """
    _check_logits(logits)
    dtype = torch.promote_types(next(iter(logits.values())).dtype, torch.float32)
    total = torch.stack([f.to(dtype).log_softmax(1) for f in logits.values()]).sum(0)
    if log_prior is not None:
        _check_prior(log_prior, total.shape[1])
        total = total + (1 - len(logits.keys() - {JOINT})) * log_prior.to(dtype)
    return total - total.logsumexp(1, keepdim=True)


class JointExpert(nn.Module):
    """Encoders of its own for all modalities, and a head over their features.

    Args:
        encoders: Modality -> module from its input to features [N, F].
        fusion: Head over all features.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], fusion: FusionHead) -> None:
        super().__init__()
        self.encoders = by_modality(encoders)
        self.fusion = fusion

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Logits [N, C] from all modalities."""
        logits: Tensor = self.fusion({m: encoder(inputs[m]) for m, encoder in self.encoders.items()})
        return logits


class ProductOfExperts(nn.Module):
    """I2M2 (arXiv 2405.17613): an expert a modality, a joint expert, and the product of them all.

    No two experts share a parameter, so training each by its own loss is minimising the sum of the losses.

    Args:
        encoders: Modality -> module from its input to features [N, F], of that modality's expert.
        joint: Expert on all modalities, with other encoders.
        log_prior: log p(y), [C], for ``product_of_experts``; None, as in I2M2, counts the prior repeatedly.

    Raises:
        PartitionError: A modality has a reserved name, ``"joint"`` among them.
        ConfigError: The joint expert has other modalities, or torch cannot register the name of one.
        ShapeError, NonFiniteError: The prior is not [C], or not finite.
    """

    log_prior: Tensor | None

    def __init__(
        self, encoders: Mapping[str, nn.Module], joint: JointExpert, log_prior: Tensor | None = None
    ) -> None:
        super().__init__()
        _check_names(tuple(encoders), joint)
        if log_prior is not None:
            _check_prior(log_prior, joint.fusion.classes)
            check_finite("log_prior", log_prior, "Leave out classes that never occur.")
        self.encoders = by_modality(encoders)
        self.heads = by_modality(
            {m: nn.Linear(joint.fusion.features, joint.fusion.classes) for m in encoders}
        )
        self.joint = joint
        self.register_buffer("log_prior", log_prior)

    @classmethod
    def for_samples(
        cls,
        samples: Mapping[str, Tensor],
        classes: int,
        features: int = 64,
        fusion: type[FusionHead] = ConcatFusion,
    ) -> "ProductOfExperts":
        """Build with the stock encoders, two a modality, for one sample [...] of each modality."""
        own, common = ({m: encoder_for(sample, features) for m, sample in samples.items()} for _ in range(2))
        return cls(own, JointExpert(common, fusion(tuple(samples), features, classes)))

    def partition(self) -> ModalityPartition:
        """Each expert is a source of its own, the joint one as ``"joint"``; nothing is shared."""
        experts: dict[str, tuple[nn.Module, ...]] = {
            m: (encoder, self.heads[m]) for m, encoder in self.encoders.items()
        }
        return ModalityPartition({**experts, JOINT: (self.joint,)}, model=self)

    def forward(self, inputs: Mapping[str, Tensor]) -> ModalOutputs:
        """Predict from the modalities at hand.

        If one is missing, its expert and the joint one are left out of the product. That is exact only if
        the missing modality's share of the selection does not depend on the class (theory 6.23).

        Returns:
            ``fused``: log p(y|x) of the product; ``unimodal``: logits of each expert in the product, with
            the joint one's under ``"joint"``; ``features``: those of the unimodal experts.

        Raises:
            DataError: No modality, or one without an encoder.
        """
        check_inputs(inputs, list(self.encoders))
        features = {m: self.encoders[m](inputs[m]) for m in self.encoders if m in inputs}
        logits = {m: self.heads[m](feature) for m, feature in features.items()}
        if len(features) == len(self.encoders):
            logits[JOINT] = self.joint(inputs)
        return ModalOutputs(product_of_experts(logits, self.log_prior), logits, features)


def _check_names(modalities: tuple[str, ...], joint: JointExpert) -> None:
    reserved = [name for name in modalities if name in (*RESERVED, JOINT)]
    if reserved:
        raise PartitionError(
            "modalities",
            "must not use the reserved names",
            reserved,
            "Rename; these name losses and experts.",
        )
    if set(modalities) != set(joint.encoders) or set(modalities) != set(joint.fusion.modalities):
        found = f"encoders of {list(joint.encoders)}, fusion of {list(joint.fusion.modalities)}"
        raise ConfigError(
            "joint", f"must have the modalities {list(modalities)}", found, "Build it for them."
        )


def _check_logits(logits: Mapping[str, Tensor]) -> None:
    if not logits:
        raise DataError("logits", "must hold at least one expert", "none", "Add an expert.")
    for expert, value in logits.items():
        check_floating(f"logits[{expert!r}]", value)
    check_alike("logits", *logits.values())
    shapes = {expert: list(value.shape) for expert, value in logits.items()}
    if len({tuple(shape) for shape in shapes.values()}) > 1 or any(len(s) != 2 for s in shapes.values()):
        raise ShapeError(
            "logits", "must have one shape [N, C]", shapes, "Give every expert the same samples."
        )


def _check_prior(log_prior: Tensor, classes: int) -> None:
    check_floating("log_prior", log_prior)
    if log_prior.shape != (classes,):
        raise ShapeError(
            "log_prior", f"must have shape [{classes}], one a class", list(log_prior.shape), "Align it."
        )
