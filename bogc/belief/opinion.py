"""The multinomial opinion of subjective logic: belief, uncertainty, base rate."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from bogc.belief.dirichlet import (
    DirichletBelief,
    check_base_rate,
    check_counted,
    sum_tolerance,
    uniform_base_rate,
)
from bogc.belief.evidence import MOST_EVIDENCE, Evidence, check_frame, check_prior_weight
from bogc.checks import (
    Unchecked,
    check_alike,
    check_finite,
    check_floating,
    check_type,
    check_values,
)
from bogc.errors import MassSumError, ShapeError


@dataclass(frozen=True, eq=False)
class Opinion(Unchecked):
    """omega = (b, u, a) with sum_k b_k + u = 1 (Josang 2016).

    Attributes:
        belief: b >= 0, [..., K].
        uncertainty: u in [0, 1], [...]; 1 is vacuous, 0 dogmatic.
        base_rate: a, [K] or [..., K].
        counted: The evidence that it stands for, where it was made from evidence; rules combine that.

    Raises:
        MassSumError, RangeError, FrameError, NonFiniteError, ShapeError, DtypeError, DeviceError: A field
            breaks these rules.
    """

    belief: Float[Tensor, "*batch K"]
    uncertainty: Float[Tensor, "*batch"]
    base_rate: Float[Tensor, "*rate K"]
    counted: Evidence | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_floating("belief", self.belief)
        check_floating("uncertainty", self.uncertainty)
        check_alike("opinion", self.belief, self.uncertainty)
        check_frame("belief", self.belief)
        if self.uncertainty.shape != self.belief.shape[:-1]:
            rule = f"must have shape {list(self.belief.shape[:-1])}, that of belief without its last axis"
            raise ShapeError("uncertainty", rule, list(self.uncertainty.shape), "Give one u an opinion.")
        for name, value in (("belief", self.belief), ("uncertainty", self.uncertainty)):
            check_finite(name, value)
            check_values(name, "must not be negative", value, value >= 0, "Masses are shares of 1.")
        check_base_rate(self.base_rate, self.belief)
        check_counted(self.counted, self.belief)
        total = self.belief.sum(-1) + self.uncertainty
        valid = (total - 1).abs() <= sum_tolerance(total)
        check_values(
            "belief + uncertainty", "must sum to 1", total, valid, "Divide both by the sum.", MassSumError
        )

    @classmethod
    def from_dirichlet(cls, dirichlet: DirichletBelief) -> "Opinion":
        """b = e / S, u = W / S: a bijection for u > 0 (Josang 2016).

        Raises:
            TypeMismatchError: ``dirichlet`` is not a DirichletBelief.
        """
        check_type("dirichlet", dirichlet, DirichletBelief, "Use DirichletBelief.from_evidence(evidence).")
        return cls.from_evidence(dirichlet.to_evidence(), dirichlet.base_rate)

    @classmethod
    def from_evidence(
        cls, evidence: Evidence, base_rate: Float[Tensor, "*rate K"] | None = None
    ) -> "Opinion":
        """The same without the Dirichlet between; the base rate is uniform if not given, and not checked.

        Raises:
            TypeMismatchError: ``evidence`` is not an Evidence.
        """
        check_type("evidence", evidence, Evidence, "Count it with an evidence map.")
        unit = evidence.values.amax(-1, keepdim=True).clamp_min(
            evidence.prior_weight
        )  # S itself may overflow
        shares, prior = evidence.values / unit, (evidence.prior_weight / unit).squeeze(-1)
        strength = shares.sum(-1) + prior
        return cls.unchecked(
            belief=shares / strength.unsqueeze(-1),
            uncertainty=prior / strength,
            base_rate=uniform_base_rate(evidence.values) if base_rate is None else base_rate,
            counted=evidence,
        )

    def to_evidence(self, prior_weight: float = 2.0) -> Evidence:
        """The evidence it was made from; else e = W b / u, at most W MOST_EVIDENCE where u is nearly 0."""
        if self.counted is not None:
            return self.counted
        least = self.uncertainty.clamp_min(1 / MOST_EVIDENCE).unsqueeze(-1)
        return Evidence.unchecked(values=prior_weight * self.belief / least, prior_weight=prior_weight)

    def to_dirichlet(self, prior_weight: float) -> DirichletBelief:
        """alpha = W (b / u + a); inverse of from_dirichlet for the same W. Reads the device.

        Raises:
            RangeError: u = 0: a dogmatic opinion stands for infinite evidence.
        """
        check_prior_weight(prior_weight)
        valid = self.uncertainty > 0
        remedy = "A dogmatic opinion has no Dirichlet; keep some uncertainty."
        check_values("uncertainty", "must be positive", self.uncertainty, valid, remedy)
        alpha = prior_weight * (self.belief / self.uncertainty.unsqueeze(-1) + self.base_rate)
        return DirichletBelief.unchecked(
            concentration=alpha, prior_weight=prior_weight, base_rate=self.base_rate
        )

    @classmethod
    def vacuous(cls, like: Float[Tensor, "*batch K"]) -> "Opinion":
        """Know nothing: b = 0, u = 1, with the shape, dtype and device of ``like``."""
        zero = like.new_zeros(like.shape)
        return cls.unchecked(
            belief=zero, uncertainty=like.new_ones(like.shape[:-1]), base_rate=uniform_base_rate(like)
        )

    @property
    def projected_probability(self) -> Float[Tensor, "*batch K"]:
        """P = b + a u (Josang 2016); equals the Dirichlet's mean."""
        return self.belief + self.base_rate * self.uncertainty.unsqueeze(-1)
