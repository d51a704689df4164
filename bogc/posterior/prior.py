"""Priors of a gradient, and the policies that set their scale.

The scale tau^2 decides what counts as much data: evidence is measured against it. All policies centre the
prior at zero. A policy learns from sums over each block, once a step, and then gives the prior variance of
every dimension; S sources and B blocks are one tensor [S, B].
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.checks import (
    Unchecked,
    check_alike,
    check_broadcastable,
    check_finite,
    check_floating,
    check_number,
    check_real,
)
from bogc.gradients import GradientMoments
from bogc.posterior.gradient_posterior import check_positive_variance
from bogc.registry import Registry

ABSOLUTE_FLOOR: Final = 1e-30  # of variances, in units in which gradients are about 1
MOST_RATIO: Final = 1e6  # of signal to noise: belief is 1 to rounding there

PRIORS: Final[Registry[type["PriorPolicy"]]] = Registry("prior")

Seen = int | Tensor
"""Earlier gradients of each source and block: one number for all, or [S, B]."""

Table = MutableMapping[str, Tensor]
"""What a policy remembers: numbers [S, B] by name; zero for sources and blocks not seen before."""


@dataclass(frozen=True, eq=False)
class GradientPrior(Unchecked):
    """g_d ~ Normal(loc_d, variance_d), before the batch is seen.

    Attributes:
        loc: m, [..., D] or broadcastable to it.
        variance: tau^2 > 0, [..., D] or broadcastable to it: [1] is one scale for the whole block.

    Raises:
        ZeroVarianceError, NonFiniteError, ShapeError, DtypeError, DeviceError: As for the posterior.
    """

    loc: Float[Tensor, "*loc"]
    variance: Float[Tensor, "*variance"]

    def __post_init__(self) -> None:
        for name, value in (("prior loc", self.loc), ("prior variance", self.variance)):
            check_floating(name, value)
            check_finite(name, value)
        check_alike("prior", self.loc, self.variance)
        check_broadcastable("prior", self.loc, self.variance)
        check_positive_variance("prior variance", self.variance)

    @classmethod
    def centred(cls, variance: Tensor) -> "GradientPrior":
        """Prior around zero, unchecked: the policies keep tau^2 above a floor."""
        return cls.unchecked(loc=variance.new_zeros(1), variance=variance)


@dataclass(frozen=True, eq=False)
class BlockSums:
    """What a step says of each block, [S, B]: means over its dimensions.

    Attributes:
        square: Of g_t^2.
        noise: Of the noise variance v of the batch's gradient.
        root: Of sqrt(v).
        products: Of g_t g_{t-k} / sqrt(v), k = 1, 2, ..., as many as the policy looks back.
        level: What v was multiplied by to be today's (theory 1.29): a number or [S, B].
        count: N, samples of the batch: a number, or [S, B] if sources differ.
    """

    square: Float[Tensor, "S B"]
    noise: Float[Tensor, "S B"]
    root: Float[Tensor, "S B"]
    products: tuple[Float[Tensor, "S B"], ...]
    level: float | Float[Tensor, "S B"]
    count: float | Float[Tensor, "S B"]


class PriorPolicy(ABC):
    """The prior scale of each source's gradient in each block, from the steps before.

    The gradient at hand is not in its own prior: a large draw must not look certain because it is large.
    """

    lags: ClassVar[int] = 0
    """How many earlier gradients it needs."""
    names: ClassVar[tuple[str, ...]] = ()
    """Of what it remembers; none for a policy that does not learn."""

    @abstractmethod
    def scale(
        self, table: Table, records: Seen, level: float | Tensor, count: float | Tensor
    ) -> Float[Tensor, "*any"]:
        """Return what ``variance`` makes tau^2 of, [S, B] or broadcastable to it.

        Args:
            table: What ``learn`` left.
            records: How often it was called for each source and block, at least once.
            level: Today's, as in BlockSums.
            count: Today's N, likewise.
        """

    def learn(self, sums: BlockSums, table: Table) -> None:
        """Take a step into ``table``, in place; by default nothing is learnt.

        Args:
            sums: Of this step; zeros for sources and blocks that have no variance yet.
            table: Of the same sources and blocks.
        """
        return

    def variance(self, scale: Float[Tensor, "*batch 1"], moments: GradientMoments) -> Float[Tensor, "*any"]:
        """tau^2 of each dimension; by default ``scale`` itself."""
        return scale

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "PriorPolicy":
        """Make it from a configuration's settings by name; by default it has none of its own."""
        return cls()


@PRIORS.register("successive")
@dataclass(frozen=True)
class SuccessivePrior(PriorPolicy):
    """Signal from products of successive gradients; tau^2 in proportion to the noise's root. The default.

    tau_d^2 = a sqrt(v_d), a = mean over past steps of <g_t g_{t-1} / sqrt(v)> (theory 1.28). Noises of two
    batches are independent, so E g_t g_{t-1} is tau_d^2 with nothing to subtract, whatever BatchNorm or the
    correlation of dimensions do to the noise. Batches drawn without replacement are a little dependent: in an
    epoch over n samples E g_t g_{t-1} falls by sigma^2 / n, which is put back (1.30).

    Attributes:
        decay: Weight of the past, a step.
        samples: n, size of the training set; None: unknown, or drawn with replacement.
        floor: Least ratio of signal to noise; by default 0.01, and 0.03 where n is not known.
    """

    decay: float = 0.95
    samples: int | None = None
    floor: float | None = None
    lags: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("product", "root")

    def __post_init__(self) -> None:
        check_real(decay=self.decay)
        check_number("decay", self.decay, 0 <= self.decay < 1, "must lie in [0, 1)", "Use 0.95.")
        if self.floor is not None:
            check_real(floor=self.floor)
            check_number("floor", self.floor, 0 < self.floor < MOST_RATIO, "must be positive", "Use 0.01.")
        if self.samples is not None:
            remedy = "Pass the size of the training set, or None if it is not known."
            check_real(samples=self.samples)
            check_number("samples", self.samples, self.samples >= 1, "must be at least 1", remedy)

    def scale(
        self, table: Table, records: Seen, level: float | Tensor, count: float | Tensor
    ) -> Float[Tensor, "S B"]:
        """a sqrt(N level), between the floor and a signal that drowns all noise; stored is that of N = 1."""
        root = table["root"].clamp_min(ABSOLUTE_FLOOR)
        floor = self.floor or (0.03 if self.samples is None else 0.01)
        signal = self.signal("product", table, records)
        signal = torch.maximum(signal, root * (floor / count)).minimum(root * (MOST_RATIO / count))
        return signal * (level * count) ** 0.5

    def signal(self, name: str, table: Table, records: Seen) -> Float[Tensor, "S B"]:
        """Mean product over past steps, with what drawing without replacement takes away (theory 1.30)."""
        ages = discounted_count(self.decay, records)
        least = ages.clamp_min(ABSOLUTE_FLOOR) if isinstance(ages, Tensor) else max(ages, 1e-30)
        mean = table[name] / least
        return mean if self.samples is None else mean.add(table["root"], alpha=1 / self.samples)

    def learn(self, sums: BlockSums, table: Table) -> None:
        """See the base class."""
        unit = (sums.count / sums.level) ** 0.5  # from sqrt(v) to the root of a sample's variance
        table["product"].mul_(self.decay).add_(sums.products[0] / unit)
        table["root"].copy_(sums.root * unit)

    def variance(
        self, scale: Float[Tensor, "*batch 1"], moments: GradientMoments
    ) -> Float[Tensor, "*batch D"]:
        """tau_d^2 = scale sqrt(v_d)."""
        return moments.root * scale

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "PriorPolicy":
        """Take ``prior_decay`` and ``samples``."""
        return cls(decay=settings["prior_decay"], samples=settings.get("samples"))


@PRIORS.register("stationary")
@dataclass(frozen=True)
class StationaryPrior(SuccessivePrior):
    """The same for a gradient that moves as an AR(1) process: tau^2 is the stationary variance, c_1 / phi.

    With products c_k of gradients k steps apart, phi is c_2 / c_1 (theory 1.32). The filtered posterior reads
    it from ``table["phi"]``.
    """

    lags: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = ("product", "root", "second", "phi total", "phi weight", "phi")

    def scale(
        self, table: Table, records: Seen, level: float | Tensor, count: float | Tensor
    ) -> Float[Tensor, "S B"]:
        """See the base class; phi is averaged over steps, and 0.9 where c_1 hardly stands out."""
        c1, c2 = (self.signal(name, table, records) for name in ("product", "second"))
        weak = c1 * count <= 0.02 * table["root"]
        phi = torch.where(weak, 0.9, (c2 / c1).clamp(0.5, 0.98))
        known = table["root"].sign()  # 0 before anything is learnt: such a call has no weight
        total = table["phi total"].mul_(self.decay).add_(phi * known)
        weight = table["phi weight"].mul_(self.decay).add_(known)
        table["phi"].copy_(total / weight.clamp_min(ABSOLUTE_FLOOR)).clamp_(0.5, 0.98)
        return super().scale(table, records, level, count) / table["phi"]

    def learn(self, sums: BlockSums, table: Table) -> None:
        """See the base class."""
        super().learn(sums, table)
        unit = (sums.count / sums.level) ** 0.5
        table["second"].mul_(self.decay).add_(sums.products[1] / unit)


def discounted_count(decay: float, steps: Seen) -> Any:
    """Sum of ``steps`` weights 1, decay, decay^2, ...: what a discounted sum of ones comes to."""
    return (1 - decay**steps) / (1 - decay)


@PRIORS.register("block")
@dataclass(frozen=True)
class BlockPrior(PriorPolicy):
    """One scale a block by moments: tau^2 = mean(g^2) - mean(noise), over ``decay``-weighted steps.

    A batch mean scatters around the true gradient, so E g^2 = tau^2 + noise; leaving the noise in would give
    every gradient at least as much evidence as the prior. The difference sits on its floor by chance where
    noise is correlated within a layer.

    Attributes:
        decay: Weight of the past, a step; 0 forgets at once.
        floor: Least ratio of tau^2 to the noise.
    """

    decay: float = 0.9
    floor: float = 1e-3
    names: ClassVar[tuple[str, ...]] = ("square", "noise")

    def __post_init__(self) -> None:
        check_real(decay=self.decay, floor=self.floor)
        check_number(
            "decay", self.decay, 0 <= self.decay < 1, "must lie in [0, 1)", "Use 0.9; 0 forgets at once."
        )
        check_number("floor", self.floor, self.floor > 0, "must be positive", "Use 1e-3.")

    def scale(
        self, table: Table, records: Seen, level: float | Tensor, count: float | Tensor
    ) -> Float[Tensor, "S B"]:
        """See the class."""
        ages = discounted_count(self.decay, records)
        noise = table["noise"] / ages
        signal = torch.maximum(table["square"] / ages - noise, self.floor * noise)
        return signal.clamp_min(ABSOLUTE_FLOOR)

    def learn(self, sums: BlockSums, table: Table) -> None:
        """See the base class."""
        table["square"].mul_(self.decay).add_(sums.square)
        table["noise"].mul_(self.decay).add_(sums.noise)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "PriorPolicy":
        """Take ``prior_decay``."""
        return cls(decay=settings["prior_decay"])


@PRIORS.register("fixed")
@dataclass(frozen=True)
class FixedPrior(PriorPolicy):
    """One scale for every gradient, in units of gradient squared. Not invariant to the scale of the loss."""

    value: float = 1.0

    def __post_init__(self) -> None:
        check_real(value=self.value)
        valid = 0 < self.value < math.inf
        check_number("value", self.value, valid, "must be positive and finite", "Use the scale of g^2.")

    def scale(
        self, table: Table, records: Seen, level: float | Tensor, count: float | Tensor
    ) -> Float[Tensor, "*any"]:
        """``value``, one number for all."""
        return torch.tensor(self.value, dtype=torch.float64)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "PriorPolicy":
        """Take ``prior_variance``."""
        return cls(settings["prior_variance"])
