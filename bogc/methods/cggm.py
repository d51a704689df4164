"""CGGM: classifiers on the features say how far each encoder is; its gradient follows (arXiv 2411.01409)."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from bogc.checks import check_number, check_real
from bogc.errors import ConfigError, LossError, ShapeError
from bogc.gradients import FUSION, ModalityPartition, check_finite_step
from bogc.methods.base import Balancer, Step
from bogc.methods.batch import BatchView, Gradients
from bogc.methods.info import StepInfo
from bogc.methods.registry import Job, method, setting
from bogc.methods.search import LogUniform, Uniform
from bogc.methods.tasks import CLASSIFICATION, Task
from bogc.models import ModalOutputs


def guarded_balance(gains: Float[Tensor, " M"], floor: float = 1e-3) -> Float[Tensor, " M"]:
    """B with the guard (theory 6.8): continuous everywhere, in [0, 1], summing to M - 1.

    Args:
        gains: Change of each classifier's merit.
        floor: epsilon > 0, in the unit of the gains; where they are well above it, B is CGGM's own (6.6).
    """
    positive = gains.clamp(min=0)
    return 1 - (positive + floor / len(gains)) / (positive.sum() + floor)


def released_balance(gains: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
    """B as released: 1e-8 in the denominator, so it is unbounded and changes sign (theory 6.7)."""
    total = gains.sum() + 1e-8
    return (total - gains) / total


def direction_loss(balance: Float[Tensor, " M"], cosines: Float[Tensor, " M"]) -> Float[Tensor, ""]:
    """L = mean over modalities of |B| - B cos (theory 6.9), for constant B."""
    return (balance.abs() - balance * cosines).mean()


def cosines(fused: Tensor, others: Sequence[Tensor]) -> Float[Tensor, " M"]:
    """Cosine between one tensor and others of its size, as flat vectors in float32 or wider."""
    wide = torch.promote_types(fused.dtype, torch.float32)
    flat = fused.reshape(-1).to(wide)
    return torch.stack([functional.cosine_similarity(o.reshape(-1).to(wide), flat, dim=0) for o in others])


class Verdict(NamedTuple):
    """What the classifiers say of one batch.

    Attributes:
        merits: Figure of merit of each, [M], in the order of the modalities present.
        outputs: Gradient of each one's mean loss in its own predictions, by modality, detached.
        gradients: Gradient of the sum of their losses in the classifiers' parameters.
    """

    merits: Float[Tensor, " M"]
    outputs: dict[str, Tensor]
    gradients: dict[nn.Parameter, Tensor]


class ClassifierGuided(Balancer):
    """What both spellings of CGGM share: the classifiers, and the encoders' factors.

    Args:
        partition: Which modules belong to which modality.
        classifiers: Modality -> module from detached features to predictions like the fused ones. Not part
            of the network: their parameters must not be in the partition.
        optimiser: Trains the classifiers, and nothing else, one step a batch.
        rho: Factor of all B.
        direction: lambda, weight of the direction loss.
        strength: From joint training (0) to CGGM (1), linearly in the encoders' factor; ours. It leaves the
            direction loss as it is: joint training takes ``direction`` 0 too.
        task: Loss and merit of the classifiers.

    Raises:
        ConfigError: Classifiers are not one a modality, not trainable, share a parameter with the network,
            or the optimiser lacks some of their parameters or holds some of the network's.
        RangeError: A number is out of range.
    """

    def __init__(
        self,
        partition: ModalityPartition,
        classifiers: nn.ModuleDict,
        optimiser: Optimizer,
        rho: float = 1.3,
        direction: float = 0.2,
        strength: float = 1.0,
        task: Task = CLASSIFICATION,
    ) -> None:
        super().__init__(partition, {"classifiers": classifiers, "optimiser": optimiser})
        if set(classifiers) != set(partition.modalities):
            rule = f"must be one a modality, {list(partition.modalities)}"
            raise ConfigError("classifiers", rule, list(classifiers), "Add or remove some.")
        _check_apart(partition, classifiers, optimiser)
        for name, value in (("rho", rho), ("direction", direction)):
            check_real(**{name: value})
            check_number(name, value, value >= 0, "must not be negative", "See the paper's settings.")
        check_real(strength=strength)
        check_number("strength", strength, 0 <= strength <= 1, "must lie in [0, 1]", "Use 1.")
        self.classifiers = classifiers
        self.optimiser = optimiser
        self.rho = rho
        self.direction = direction
        self.strength = strength
        self.task = task

    @final
    def step(self, seen: BatchView, state: Mapping[str, Any]) -> Step:
        """See the base class."""
        outputs, targets = seen.predictions(type(self).__name__)
        verdict = self._ask(outputs, targets)
        merits = dict(zip(verdict.outputs, verdict.merits, strict=True))
        balance = self.balance(merits, state.get("merits", {}))
        gradients, following = self.guided(seen, balance, verdict, state)
        factors = {m: 1 + self.strength * (self.rho * b - 1) for m, b in balance.items()}
        scaled = dict(gradients)
        for block in self.partition.blocks:
            for parameter in block.parameters:
                if block.modality in factors and parameter in scaled:
                    factor = factors[block.modality].to(parameter.dtype)
                    scaled[parameter] = factor * scaled[parameter]
        scaled = dict(self.finish(scaled))
        check_finite_step(
            {"losses['fusion']": [seen.losses[FUSION]], "gradient of losses fusion": list(scaled.values())}
            | {"gradient of the classifiers": list(verdict.gradients.values())}
        )
        kept = {**state.get("merits", {}), **merits}
        commit = self._committing(verdict.gradients)
        info = StepInfo.of({FUSION: seen.fusion}, factors)
        return Step(scaled, info, {"merits": kept, **following}, commit)

    @abstractmethod
    def balance(self, merits: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """B by modality from the merits now and before; a modality without B keeps its gradient."""

    @abstractmethod
    def guided(
        self, seen: BatchView, balance: Mapping[str, Tensor], verdict: Verdict, state: Mapping[str, Any]
    ) -> tuple[Gradients, Mapping[str, Any]]:
        """Gradient of the fusion loss with the direction loss; what else the next step needs."""

    @abstractmethod
    def finish(self, gradients: Gradients) -> Gradients:
        """Do what is left once the encoders' gradients are scaled."""

    def _ask(self, outputs: ModalOutputs, targets: Tensor) -> Verdict:
        """Run the classifiers on detached features; a step of theirs is made ready, not taken."""
        features = outputs.features
        with torch.enable_grad():
            predictions = {m: _judge(self.classifiers[m], f.detach()) for m, f in features.items()}
            _check_like_fused(predictions, outputs.fused)
            losses = {m: self.task.loss(z, targets) for m, z in predictions.items()}
        parameters = [p for m in features for p in self.classifiers[m].parameters() if p.requires_grad]
        found = torch.autograd.grad(
            torch.stack(list(losses.values())).sum(), [*predictions.values(), *parameters], allow_unused=True
        )
        own = {p: g for p, g in zip(parameters, found[len(predictions) :], strict=True) if g is not None}
        with torch.no_grad():
            merits = torch.stack([self.task.merit(z, targets) for z in predictions.values()])
        return Verdict(merits, dict(zip(predictions, found, strict=False)), own)

    def _committing(self, gradients: Mapping[nn.Parameter, Tensor]) -> Callable[[], None]:
        def commit() -> None:
            self.optimiser.zero_grad(set_to_none=True)
            for parameter, gradient in gradients.items():
                parameter.grad = gradient
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)

        return commit


@final
class CGGM(ClassifierGuided):
    """The paper's, with a guard: B from guarded gains, and directions compared as gradients.

    The gradients compared are those of the fused and of the classifier's mean loss in their predictions,
    which any head has; the direction loss reaches the encoders through the fused prediction by a second
    derivative. In the first step nothing is known of gains, and joint training is what happens.
    """

    floor = 1e-3  # of a change of accuracy: a tenth of a percent

    def balance(self, merits: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See the base class."""
        known = [modality for modality in merits if modality in before]
        if len(known) < 2:  # one modality has nothing to be balanced against
            return {}
        gains = torch.stack([merits[m] - before[m] for m in known])
        return dict(zip(known, guarded_balance(gains, self.floor), strict=True))

    def guided(
        self, seen: BatchView, balance: Mapping[str, Tensor], verdict: Verdict, state: Mapping[str, Any]
    ) -> tuple[Gradients, Mapping[str, Any]]:
        """See the base class."""
        total = seen.fusion
        if balance and self.direction > 0:
            outputs, _ = seen.predictions(type(self).__name__)
            compared = cosines(_derivative(total, outputs.fused), [verdict.outputs[m] for m in balance])
            total = total + self.direction * direction_loss(torch.stack(list(balance.values())), compared)
        return seen.differentiate(total), {}

    def finish(self, gradients: Gradients) -> Gradients:
        """Nothing is left."""
        return gradients


def _check_apart(partition: ModalityPartition, classifiers: nn.ModuleDict, optimiser: Optimizer) -> None:
    """Raise ConfigError unless classifiers and optimiser are a system of their own beside the network."""
    network = {id(p) for p in partition.parameters}
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    for modality, classifier in classifiers.items():
        own = {id(p) for p in classifier.parameters() if p.requires_grad}
        name = f"classifiers[{modality!r}]"
        if not own:
            raise ConfigError(name, "must have a trainable parameter", "none", "Add a linear layer.")
        if own & network:
            found, remedy = f"{len(own & network)} of the partition", "Build a module of its own."
            raise ConfigError(name, "must share no parameter with the network", found, remedy)
        if not own <= held:
            found, remedy = f"{len(own - held)} others", "Build it from classifiers.parameters()."
            raise ConfigError("optimiser", f"must hold every parameter of {name}", found, remedy)
    if held & network:
        found, remedy = f"{len(held & network)} of them", "Build it from classifiers.parameters()."
        raise ConfigError("optimiser", "must hold no parameter of the network", found, remedy)


def _check_like_fused(predictions: Mapping[str, Tensor], fused: Tensor) -> None:
    for modality, own in predictions.items():
        if own.numel() != fused.numel():
            rule = f"must predict like the network, {list(fused.shape)}"
            raise ShapeError(f"classifiers[{modality!r}]", rule, list(own.shape), "Give it as many outputs.")


def _judge(classifier: nn.Module, features: Tensor) -> Tensor:
    """Predictions from features in the classifier's own dtype, whichever the network's is."""
    dtype = next((p.dtype for p in classifier.parameters()), features.dtype)
    predictions: Tensor = classifier(features.to(dtype))
    return predictions


def _derivative(loss: Tensor, prediction: Tensor) -> Tensor:
    """Gradient of a loss in the prediction that it was computed from, itself differentiable."""
    found: tuple[Tensor | None, ...] = torch.autograd.grad(
        loss, prediction, create_graph=True, allow_unused=True
    )
    if found[0] is None:
        rule = "must be what the losses were computed from"
        raise LossError("outputs", rule, "another forward pass", "Pass the same outputs.")
    return found[0]


@dataclass(frozen=True)
class CGGMSettings:
    """The constants of both spellings; the classifiers are trained by Adam."""

    rho: float = setting(1.3, "factor of the balance terms B", Uniform(1.0, 2.0))
    direction: float = setting(0.2, "lambda, weight of the direction loss", LogUniform(0.02, 0.5))
    strength: float = setting(
        1.0, "encoders' factor from 1 (0) to CGGM's (1); direction 0 too is joint training"
    )
    classifier_lr: float = setting(5e-4, "learning rate of the classifiers' Adam")
    clip: float = setting(0.8, "largest norm of the whole gradient, in the released spelling only; 0: none")


def classifiers_of(job: Job) -> tuple[nn.ModuleDict, Adam]:
    """One linear classifier a modality, on the device of the network, and their optimiser."""
    head, lr = job.classifier.fusion, job.settings.classifier_lr
    check_number("classifier_lr", lr, 0 < lr < math.inf, "must be positive and finite", "Use 5e-4.")
    device = next(head.parameters()).device
    linear = {m: nn.Linear(head.features, head.classes, device=device) for m in head.modalities}
    classifiers = nn.ModuleDict(linear)
    return classifiers, Adam(classifiers.parameters(), lr=lr)


@method(
    "cggm",
    summary="encoders' gradients by the progress of classifiers on their features, with a guard",
    paper="arXiv 2411.01409",
    needs="fusion loss, outputs, targets; own classifiers",
    passes="1, and 1 of the classifiers",
    settings=CGGMSettings,
)
def _cggm(job: Job) -> Balancer:
    own = job.settings
    return CGGM(job.model.partition(), *classifiers_of(job), own.rho, own.direction, own.strength)
