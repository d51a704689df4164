"""Every balancing method by name: what it is, what it needs, and how it is made for a network."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

from torch import nn
from torch.optim import Adam

from bogc.balancing.balancer import Balancer
from bogc.balancing.cggm import CGGM, CGGMSettings
from bogc.balancing.cggm_released import ReleasedCGGM
from bogc.balancing.fields import choose
from bogc.balancing.fixed_weights import FixedWeightsSettings
from bogc.balancing.i2m2 import I2M2Settings
from bogc.balancing.inverse_variance import InverseVarianceSettings
from bogc.balancing.jacobian_descent import JacobianDescentSettings
from bogc.balancing.joint import JointTraining
from bogc.balancing.mimo import MIMOSettings
from bogc.balancing.mmpareto import MMPareto, MMParetoSettings, ReleasedMMPareto
from bogc.balancing.ogm_ge import OGMGE, OGMGESettings, ReleasedOGMGE
from bogc.balancing.settings import CalibrationSettings
from bogc.balancing.unimodal_sum import UnimodalSum
from bogc.checks import check_number
from bogc.errors import ConfigError
from bogc.gradients import ModalityPartition
from bogc.models import MultimodalClassifier

CLASSIFIER: Final = "classifier"
EXPERTS: Final = "product of experts"


@runtime_checkable
class Partitioned(Protocol):
    """A network that says which of its modules belong to which modality."""

    def partition(self) -> ModalityPartition:
        """Partition its parameters."""
        ...


@dataclass(frozen=True)
class Job:
    """What a method may need to know when it is made.

    Attributes:
        model: The network.
        settings: The method's own settings, of the type in ``TABLES``; None if it has none.
        steps: Number of optimiser steps planned.
    """

    model: Partitioned
    settings: Any
    steps: int

    @property
    def classifier(self) -> MultimodalClassifier:
        """The network, for methods that look at the fused head.

        Raises:
            ConfigError: It is of another kind.
        """
        if not isinstance(self.model, MultimodalClassifier):
            found = type(self.model).__name__
            remedy = "Build the balancer yourself."
            raise ConfigError("model", "must be a MultimodalClassifier", found, remedy)
        return self.model


TABLES: Final[Mapping[str, type]] = MappingProxyType(
    {
        "calibration": CalibrationSettings,
        "ogm_ge": OGMGESettings,
        "cggm": CGGMSettings,
        "mimo": MIMOSettings,
        "mmpareto": MMParetoSettings,
        "i2m2": I2M2Settings,
        "inverse_variance": InverseVarianceSettings,
        "fixed_weights": FixedWeightsSettings,
        "jacobian_descent": JacobianDescentSettings,
    }
)
"""Name of a table of settings -> its type; each is a field of a training configuration."""


@dataclass(frozen=True)
class MethodSpec:
    """One method as the command line knows it.

    Attributes:
        summary: One line.
        paper: Where it comes from.
        needs: What it takes from a step.
        passes: Backward passes a step for M modalities.
        build: Makes the balancer.
        table: Its settings' name in TABLES; "" if it has none.
        model: Kind of network it trains.
    """

    summary: str
    paper: str
    needs: str
    passes: str
    build: Callable[[Job], Balancer]
    table: str = ""
    model: str = CLASSIFIER


def _ogm_ge(job: Job) -> Balancer:
    head = job.classifier.fusion
    return OGMGE(job.model.partition(), head.slices, job.settings.alpha, job.settings.noise)


def _released_ogm_ge(job: Job) -> Balancer:
    return ReleasedOGMGE(job.model.partition(), job.classifier.fusion, job.settings.alpha, job.settings.noise)


def _classifiers(job: Job) -> tuple[nn.ModuleDict, Adam]:
    """One linear classifier a modality, on the device of the network, and their optimiser."""
    head, lr = job.classifier.fusion, job.settings.classifier_lr
    check_number("classifier_lr", lr, 0 < lr < math.inf, "must be positive and finite", "Use 5e-4.")
    device = next(head.parameters()).device
    linear = {m: nn.Linear(head.features, head.classes, device=device) for m in head.modalities}
    classifiers = nn.ModuleDict(linear)
    return classifiers, Adam(classifiers.parameters(), lr=lr)


def _cggm(job: Job) -> Balancer:
    own = job.settings
    return CGGM(job.model.partition(), *_classifiers(job), own.rho, own.direction, own.strength)


def _released_cggm(job: Job) -> Balancer:
    own = job.settings
    weights = job.classifier.fusion.weights
    return ReleasedCGGM(
        job.model.partition(), *_classifiers(job), weights, own.rho, own.direction, own.strength, own.clip
    )


def _jacobian_descent(aggregator: str, paper: str) -> MethodSpec:
    return MethodSpec(
        summary=f"{aggregator} on each encoder's gradients, through torchjd",
        paper=paper,
        needs="all losses; a solver on the CPU" if aggregator in ("cagrad", "nash-mtl") else "all losses",
        passes="M + 1",
        build=lambda job: job.settings.build(job.model.partition(), aggregator),
        table="jacobian_descent",
    )


METHODS: Final[dict[str, MethodSpec]] = {
    "joint": MethodSpec(
        "fusion loss alone",
        "plain training",
        "fusion loss",
        "1",
        lambda job: JointTraining(job.model.partition()),
    ),
    "sum": MethodSpec(
        "plain sum of fusion and unimodal losses",
        "plain training",
        "all losses",
        "1",
        lambda job: UnimodalSum(job.model.partition()),
    ),
    "fixed-weights": MethodSpec(
        "sum of losses with tuned constant weights",
        "the form of arXiv 1905.12681",
        "all losses",
        "1",
        lambda job: job.settings.build(job.model.partition()),
        "fixed_weights",
    ),
    "ogm-ge": MethodSpec(
        "slows the leading encoder, adds its noise",
        "arXiv 2203.15332",
        "fusion loss, outputs, targets",
        "1",
        _ogm_ge,
        "ogm_ge",
    ),
    "ogm-ge-released": MethodSpec(
        "OGM-GE as released: 2 modalities, 4-D weights only",
        "released code of arXiv 2203.15332",
        "fusion loss, outputs, targets",
        "1",
        _released_ogm_ge,
        "ogm_ge",
    ),
    "cggm": MethodSpec(
        "encoders' gradients by the progress of classifiers on their features, with a guard",
        "arXiv 2411.01409",
        "fusion loss, outputs, targets; own classifiers",
        "1, and 1 of the classifiers",
        _cggm,
        "cggm",
    ),
    "cggm-released": MethodSpec(
        "CGGM as released: output weights compared, no guard",
        "released code of arXiv 2411.01409",
        "fusion loss, outputs, targets; own classifiers",
        "1, and 1 of the classifiers",
        _released_cggm,
        "cggm",
    ),
    "mimo": MethodSpec(
        "fusion loss and a smoothed maximum of the unimodal ones",
        "arXiv 2511.06686 (form reconstructed)",
        "all losses",
        "1",
        lambda job: job.settings.build(job.model.partition()),
        "mimo",
    ),
    "mmpareto": MethodSpec(
        "shortest combination of an encoder's two gradients, lengthened",
        "arXiv 2405.17730",
        "all losses",
        "M + 1",
        lambda job: MMPareto(job.model.partition(), job.settings.factor, job.settings.strength),
        "mmpareto",
    ),
    "mmpareto-released": MethodSpec(
        "MMPareto as released: lengthened tensor by tensor",
        "released code of arXiv 2405.17730",
        "all losses",
        "M + 1",
        lambda job: ReleasedMMPareto(job.model.partition(), job.settings.factor, job.settings.strength),
        "mmpareto",
    ),
    "i2m2": MethodSpec(
        "product of experts, first trained apart",
        "arXiv 2405.17613",
        "a product of experts; all its losses",
        "1",
        lambda job: job.settings.build(job.model.partition(), job.steps),
        "i2m2",
        EXPERTS,
    ),
    "inverse-variance": MethodSpec(
        "precision-weighted gradients, without prior or belief",
        "textbook (theory 6.30)",
        "all losses, one a sample",
        "M + 1 (streaming)",
        lambda job: job.settings.build(job.model.partition()),
        "inverse_variance",
    ),
    "upgrad": _jacobian_descent("upgrad", "arXiv 2406.16232"),
    "mgda": _jacobian_descent("mgda", "Desideri 2012"),
    "pcgrad": _jacobian_descent("pcgrad", "arXiv 2001.06782"),
    "cagrad": _jacobian_descent("cagrad", "arXiv 2110.14048"),
    "nash-mtl": _jacobian_descent("nash-mtl", "arXiv 2202.01017"),
    "bogc": MethodSpec(
        "Bayesian-oriented gradient calibration",
        "arXiv 2505.23071 (reconstruction)",
        "all losses, one a sample",
        "M + 1 (per row)",
        lambda job: job.settings.build(job.model.partition()),
        "calibration",
    ),
}


def build_balancer(method: str, model: Partitioned, settings: Any, steps: int) -> Balancer:
    """Make the balancer called ``method`` for ``model``, which is to be trained for ``steps`` steps.

    Args:
        method: A key of METHODS.
        model: A network of the kind that the method trains.
        settings: Of the method's own type in TABLES; None if it has none.
        steps: Optimiser steps planned.

    Raises:
        ConfigError: No method has that name, or the method cannot be used with this network.
    """
    return choose("method", method, METHODS).build(Job(model, settings, steps))
