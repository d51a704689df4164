"""OGM-GE: slow the encoder whose modality leads, and give back the noise (arXiv 2203.15332)."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.calibration import Memory
from bogc.calibration.tracker import MomentTracker, rows_of
from bogc.checks import check_number, check_real
from bogc.errors import UnsuitableError
from bogc.gradients import FUSION, Block, ModalityPartition, Successive
from bogc.methods.base import Balancer, Step, check_step
from bogc.methods.batch import PROCESSES, BatchView, Gradients
from bogc.methods.info import StepInfo
from bogc.methods.registry import Job, method, setting
from bogc.methods.remembering import Remembering
from bogc.methods.search import LogUniform
from bogc.methods.tasks import check_classes
from bogc.models import ConcatFusion, FusionHead, SumFusion

Slices = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
"""Features [N, F] by modality -> logits [N, C] of the fused head's own slice of each."""

PAIR = 2


@torch.no_grad()
def scores(slices: Mapping[str, Tensor], targets: Tensor) -> Float[Tensor, " M"]:
    """Sum over the batch of the softmax score of the true class, by modality (theory, before 6.1).

    Samples whose target is negative, as an ``ignore_index`` is, are left out.

    Raises:
        DtypeError, ShapeError: Targets are not one class a sample: soft or multi-hot ones have no such score.
    """
    for logits in slices.values():
        check_classes(logits, targets)
    wide = [z.to(torch.promote_types(z.dtype, torch.float32)) for z in slices.values()]
    true, counted = targets.clamp(min=0).unsqueeze(1), (targets >= 0).unsqueeze(1)
    return torch.stack([(z.softmax(1).gather(1, true) * counted).sum() for z in wide])


def score_ratios(scores: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
    """Each score over the mean of the others (theory 6.3; for two modalities 6.1); 1 for a single one."""
    if len(scores) == 1:
        return torch.ones_like(scores)
    others = scores.expand(len(scores), -1).clone().fill_diagonal_(0).sum(1)  # a difference would cancel
    ratios = (len(scores) - 1) * scores / others
    return torch.where(scores.sum() > 0, ratios, 1.0)  # a batch without a target says nothing


def slowed(ratios: Float[Tensor, " M"], alpha: float) -> Float[Tensor, " M"]:
    """1 - tanh(alpha rho), written as 2 / (1 + exp(2 alpha rho)), which stays positive (theory 6.4)."""
    return 2 * torch.sigmoid(-2 * alpha * ratios)


def coefficients(ratios: Float[Tensor, " M"], alpha: float) -> Float[Tensor, " M"]:
    """k = 1 - tanh(alpha rho) where rho > 1, else 1 (theory 6.4)."""
    return torch.where(ratios > 1, slowed(ratios, alpha), 1.0)


class GradientModulation(Remembering):
    """What both spellings of OGM-GE share: joint training with slowed encoders.

    Args:
        partition: Which modules belong to which modality.
        slices: The fused head's logits from one modality's features alone, such as
            ``model.fusion.slices`` of a ``MultimodalClassifier``.
        alpha: How strongly a leading modality is slowed; 0 is joint training.
        noise: Factor of the standard deviation of the added noise: 1 is OGM-GE, 0 is OGM.
    """

    supports = (PROCESSES,)

    def __init__(
        self, partition: ModalityPartition, slices: Slices, alpha: float = 0.8, noise: float = 1.0
    ) -> None:
        super().__init__(partition, MomentTracker(Successive()))
        check_real(alpha=alpha, noise=noise)
        check_number("alpha", alpha, alpha >= 0, "must not be negative", "Use 0.8.")
        check_number("noise", noise, noise >= 0, "must not be negative", "Use 1.")
        self.slices = slices
        self.alpha = alpha
        self.noise = noise

    @final
    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        outputs, targets = seen.predictions(type(self).__name__)
        dtype = self.partition.parameters[0].dtype  # under autocast, features have another
        features = {modality: value.detach().to(dtype) for modality, value in outputs.features.items()}
        slices = self.slices(features)
        present, summed = seen.total(dict(zip(slices, scores(slices, targets), strict=True)))
        factors = dict(zip(present, self.coefficients(score_ratios(summed)), strict=True))
        with seen.team.one_generator():  # the same noise everywhere
            gradients = self.modulated(seen, factors)
        return Step(gradients, StepInfo.of({FUSION: seen.values()[FUSION]}, factors), state)

    @abstractmethod
    def coefficients(self, ratios: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
        """k of each modality present, from its score ratio."""

    @abstractmethod
    def modulated(self, seen: BatchView, factors: Mapping[str, Tensor]) -> Gradients:
        """Differentiate the fusion loss, multiply by the factors k, add noise; check that all is finite."""


@final
class OGMGE(GradientModulation):
    """The paper's: all of a slowed encoder is modulated, and its noise has the variance of SGD's own.

    The noise makes up for what slowing takes away, so an encoder that is not slowed gets none. Its variance,
    that of the batch gradient in each dimension, is estimated over past steps; until it is known there is no
    noise. A full covariance over all parameters cannot be stored.
    """

    def coefficients(self, ratios: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
        """See the base class (theory 6.4)."""
        return coefficients(ratios, self.alpha)

    def modulated(self, seen: BatchView, factors: Mapping[str, Tensor]) -> Gradients:
        """See the base class; the variance is that of the steps before."""
        memory: Memory = self._state["memory"]
        looks = self.looks(seen, {FUSION: seen.values()[FUSION], **factors}, only=(FUSION,))
        gradients: dict[nn.Parameter, Tensor] = {}
        for look in looks:
            group, layout = look.group, look.group.layout
            ready, known = self.tracker.ready(look.memory, self.tracker.start), self.tracker.begin(look)
            rows, numbers = rows_of(look, slice(None)), known.rows(slice(None))
            self.tracker.close(look, known, [self.tracker.advance(*rows, numbers)])
            moments = self.tracker.moments(rows.gradients, rows.dims, numbers)
            ones = group.gradients.new_ones(())
            own = torch.stack([factors.get(block.modality, ones).to(ones) for block in layout.blocks])
            noisy = (own < 1) & (
                ready if isinstance(ready, Tensor) else own.new_full((), ready, dtype=torch.bool)
            )
            deviation = (
                moments.noise[0].sqrt() * layout.mask(own) * (self.noise * layout.spread(noisy.to(own)))
            )
            flat = layout.spread(own) * group.per_row[0]
            if self.noise > 0:
                flat = flat + deviation * torch.randn_like(flat)
            gradients |= layout.unpack(flat.view(-1).mul_(self.unit))
        self.remember(memory, looks)
        return gradients


@final
class ReleasedOGMGE(GradientModulation):
    """As in the released code: two modalities, 4-D convolution weights only, and noise in both encoders.

    One scalar deviation a tensor, that of the elements of its gradient plus 1e-8. Biases, BatchNorm, linear
    and 1-D convolution weights keep the joint gradient. One encoder is always slowed, at a tie the first.

    Raises:
        UnsuitableError: There are not two modalities; the head is FiLM or gated, where the released code
            crashes; or no encoder has a 4-D weight, so that nothing would be modulated.
    """

    def __init__(
        self, partition: ModalityPartition, head: FusionHead, alpha: float = 0.8, noise: float = 1.0
    ) -> None:
        super().__init__(partition, head.slices, alpha, noise)
        remedy = "Use OGMGE, which has no such limit."
        if len(partition.modalities) != PAIR:
            found = list(partition.modalities)
            raise UnsuitableError("modalities", "must be two for the released OGM-GE", found, remedy)
        if not isinstance(head, ConcatFusion | SumFusion):
            rule = "must be concat or sum, as the released code crashes with others"
            raise UnsuitableError("fusion", rule, type(head).__name__, remedy)
        if not any(_is_convolution(p) for b in partition.blocks for p in b.parameters if _encodes(b)):
            rule = "must have a 4-D weight, as the released OGM-GE modulates no other"
            raise UnsuitableError("encoders", rule, "none", remedy)

    def coefficients(self, ratios: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
        """Slow the second modality if it leads, else the first; a modality that is alone is not slowed."""
        if len(ratios) < PAIR:
            return torch.ones_like(ratios)
        leads = ratios[1] > 1
        return torch.where(torch.stack([~leads, leads]), slowed(ratios, self.alpha), 1.0)

    def modulated(self, seen: BatchView, factors: Mapping[str, Tensor]) -> Gradients:
        """See the base class."""
        gradients = dict(seen.gradient({FUSION: 1.0}))
        for block in self.partition.blocks:
            for parameter in block.parameters:
                if block.modality in factors and parameter in gradients and _is_convolution(parameter):
                    gradient = gradients[parameter]
                    deviation = self.noise * (gradient.std() + 1e-8)
                    factor = factors[block.modality].to(gradient.dtype)
                    gradients[parameter] = factor * gradient + deviation * torch.randn_like(gradient)
        check_step({FUSION: seen.values()[FUSION]}, gradients)
        return gradients


def _is_convolution(parameter: nn.Parameter) -> bool:
    return parameter.dim() == 4


def _encodes(block: Block) -> bool:
    return block.modality != "shared"


@dataclass(frozen=True)
class OGMGESettings:
    """The constants of both spellings."""

    alpha: float = setting(0.8, "how strongly the leading modality is slowed", LogUniform(0.05, 2.0))
    noise: float = setting(1.0, "factor of the added noise; 0 is OGM without GE")


@method(
    "ogm-ge",
    summary="slows the leading encoder, adds its noise",
    paper="arXiv 2203.15332",
    needs="fusion loss, outputs, targets",
    passes="1",
    settings=OGMGESettings,
)
def _ogm_ge(job: Job) -> Balancer:
    head = job.classifier.fusion
    return OGMGE(job.model.partition(), head.slices, job.settings.alpha, job.settings.noise)


@method(
    "ogm-ge-released",
    summary="OGM-GE as released: 2 modalities, 4-D weights only",
    paper="released code of arXiv 2203.15332",
    needs="fusion loss, outputs, targets",
    passes="1",
    settings=OGMGESettings,
    table="ogm_ge",
)
def _released_ogm_ge(job: Job) -> Balancer:
    return ReleasedOGMGE(job.model.partition(), job.classifier.fusion, job.settings.alpha, job.settings.noise)
