"""From posterior precision to evidence: the maps that the paper's abstract leaves open, one object each.

=====================  =====================  ===========================================================
map                    scalar evidence        what it keeps and what it breaks
=====================  =====================  ===========================================================
``PseudoCount``        W (Lambda/Lambda0 - 1)  default: 0 without data, adds over batches, free of the
                                              loss scale, and u is the share of prior variance left
``RelativePrecision``  Lambda / mean Lambda   free of scale; ranks dimensions, blind to the amount of data
``LogPrecision``       log1p(Lambda/Lambda0)  free of scale, compressed; not 0 without data (log 2)
``SignalToNoise``      mu^2 Lambda            free of scale; a confident zero counts as no evidence
``Power``              Lambda^s               of the reading "laplace", s = .5: has a unit, which decides u
``Identity``           Lambda                 the abstract read literally; units 1/gradient^2, so u is about 0
=====================  =====================  ===========================================================
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief.evidence import MOST_EVIDENCE, Evidence, check_frame, check_prior_weight
from bogc.belief.frames import Frame, SignFrame
from bogc.checks import check_number, check_type
from bogc.gradients import ONE_BLOCK, Pool
from bogc.posterior import GradientPosterior, GradientPrior
from bogc.registry import Registry

EVIDENCE_MAPS: Final[Registry[type["EvidenceMap"]]] = Registry("evidence")


@dataclass(frozen=True)
class EvidenceMap(ABC):
    """A scalar evidence for each dimension, distributed over the hypotheses of a frame.

    Attributes:
        prior_weight: W > 0.
        frame: What the evidence is about.
    """

    prior_weight: float = 2.0
    frame: Frame = field(default_factory=SignFrame)
    pools: ClassVar[bool] = False
    """Whether the amount in one dimension depends on the other dimensions of the block."""

    def __post_init__(self) -> None:
        check_prior_weight(self.prior_weight)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], frame: Frame) -> "EvidenceMap":
        """Make it from a configuration's settings by name: ``prior_weight`` alone by default."""
        return cls(settings["prior_weight"], frame)

    @abstractmethod
    def amount(
        self, posterior: GradientPosterior, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*batch D"]:
        """Scalar evidence, [..., D]; cut to [0, MOST_EVIDENCE] by the caller, in float16 to 16376."""

    def __call__(
        self, posterior: GradientPosterior, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> Evidence:
        """Return Evidence [..., K].

        Args:
            posterior: Of one block, or of what ``pool`` averages over.
            prior: That the posterior was made with.
            pool: What the dimensions of a block are; by default the last axis.

        Raises:
            TypeMismatchError: ``posterior`` or ``prior`` is something else.
            FrameError: The frame has one hypothesis (a block of one dimension in DimensionsFrame).
        """
        check_type("posterior", posterior, GradientPosterior, "Use a posterior route.")
        check_type("prior", prior, GradientPrior, "Pass the prior that the posterior was made with.")
        amount = self.amount(posterior, prior, pool)
        amount = amount.clamp(0, min(MOST_EVIDENCE, torch.finfo(amount.dtype).max / 4))
        values = self.frame.distribute(self.frame.counted(amount, self.prior_weight, pool), posterior)
        check_frame("evidence", values)
        return Evidence.unchecked(values=values, prior_weight=self.prior_weight)


@EVIDENCE_MAPS.register("pseudo-count")
@dataclass(frozen=True)
class PseudoCount(EvidenceMap):
    """e = W (Lambda/Lambda0 - 1), with the Normal route W tau^2 / noise (theory 2.1).

    Then, in a frame with one opinion a dimension, u = v/tau^2 and belief is the shrinkage factor.
    """

    def amount(
        self, posterior: GradientPosterior, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*batch D"]:
        """See the class; rounding can make v exceed tau^2 by an ulp."""
        minus = posterior.variance.new_full((), -self.prior_weight)
        return torch.addcdiv(minus, prior.variance, posterior.variance, value=self.prior_weight)


@EVIDENCE_MAPS.register("relative-precision")
@dataclass(frozen=True)
class RelativePrecision(EvidenceMap):
    """e = Lambda / mean_d Lambda."""

    pools: ClassVar[bool] = True

    def amount(
        self, posterior: GradientPosterior, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*batch D"]:
        """See the class; 1 / v in the unit of the mean variance, in which no precision overflows."""
        variance = posterior.variance.to(torch.promote_types(posterior.variance.dtype, torch.float32))
        precision = (pool.mean(variance) / variance).clamp_max(MOST_EVIDENCE)
        return (precision / pool.mean(precision)).to(posterior.variance.dtype)


@EVIDENCE_MAPS.register("log-precision")
@dataclass(frozen=True)
class LogPrecision(EvidenceMap):
    """e = log(1 + Lambda/Lambda0)."""

    def amount(
        self, posterior: GradientPosterior, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*batch D"]:
        """See the class."""
        return (prior.variance / posterior.variance).log1p()


@EVIDENCE_MAPS.register("signal-to-noise")
@dataclass(frozen=True)
class SignalToNoise(EvidenceMap):
    """e = mu^2 Lambda."""

    def amount(
        self, posterior: GradientPosterior, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*batch D"]:
        """See the class."""
        return posterior.loc.square() / posterior.variance


@EVIDENCE_MAPS.register("power")
@dataclass(frozen=True)
class Power(EvidenceMap):
    """e = Lambda^s: as in GUPO (arXiv 2608.17411), a later paper of the same group, whose best s is .5.

    A power compresses the range of precisions but keeps a unit, that of the loss to the power -2s: loss
    times 10 is e / 10 for s = .5. Whether u is near 0 or 1 is a matter of that unit.

    Attributes:
        exponent: s > 0.
    """

    exponent: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = 0 < self.exponent < float("inf")
        check_number("exponent", self.exponent, valid, "must be positive and finite", "Use 0.5.")

    def amount(
        self, posterior: GradientPosterior, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*batch D"]:
        """See the class."""
        return posterior.variance.pow(-self.exponent)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], frame: Frame) -> "EvidenceMap":
        """Take ``prior_weight`` and ``exponent``."""
        return cls(settings["prior_weight"], frame, settings["exponent"])


@EVIDENCE_MAPS.register("identity")
@dataclass(frozen=True)
class Identity(EvidenceMap):
    """e = Lambda, in units of 1/gradient^2: ``Power`` with s = 1."""

    def amount(
        self, posterior: GradientPosterior, prior: GradientPrior, pool: Pool = ONE_BLOCK
    ) -> Float[Tensor, "*batch D"]:
        """See the class."""
        return posterior.precision
