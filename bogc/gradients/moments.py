"""Mean and variance of a gradient over samples, in a form that merges (Welford 1962, Chan et al. 1979)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from bogc.checks import (
    Unchecked,
    check_alike,
    check_broadcastable,
    check_finite,
    check_floating,
    check_values,
    once,
)
from bogc.errors import ShapeError, TooFewSamplesError, ZeroVarianceError


@dataclass(frozen=True, eq=False)
class GradientMoments(Unchecked):
    """What a batch tells about a gradient: its mean, and how far single samples scatter around it.

    Attributes:
        mean: Mean gradient over the samples, shape [..., D].
        scatter: ``degrees_of_freedom`` times the unbiased variance of *one sample's* gradient, [..., D].
        count: N, the number of samples in the mean, [..., 1]. The mean's own variance is variance / N.
        degrees_of_freedom: How many independent squared deviations ``scatter`` sums, [..., 1]: N - 1 for
            per-sample gradients, C - 1 for C groups. Zero where nothing is known of the variance.

    Raises:
        NonFiniteError, RangeError: A field is NaN, infinite or negative.
        ShapeError, DtypeError, DeviceError: The fields do not fit together.
    """

    mean: Float[Tensor, "*batch D"]
    scatter: Float[Tensor, "*batch D"]
    count: Float[Tensor, "*batch 1"]
    degrees_of_freedom: Float[Tensor, "*batch 1"]

    def __post_init__(self) -> None:
        fields = (self.mean, self.scatter, self.count, self.degrees_of_freedom)
        for name, value in zip(("mean", "scatter", "count", "degrees_of_freedom"), fields, strict=True):
            check_floating(name, value)
            check_finite(name, value)
        check_alike("moments", *fields)
        check_broadcastable("moments", *fields)
        for name in ("scatter", "degrees_of_freedom"):
            value = getattr(self, name)
            check_values(
                name,
                "must not be negative",
                value,
                value >= 0,
                "Build it by from_samples.",
                ZeroVarianceError,
            )
        check_values("count", "must be at least 1", self.count, self.count >= 1, "Leave empty sources out.")

    @classmethod
    def from_groups(cls, means: Float[Tensor, "*batch C D"], sizes: Float[Tensor, " C"]) -> "GradientMoments":
        """Moments from C group means of ``sizes`` samples: the scatter of n_c (g_c - g)^2 estimates sigma^2.

        E sum_c n_c (g_c - g)^2 = (C - 1) sigma^2 for any sizes, so unequal groups need no correction. Groups
        of size 1 are the samples themselves.
        """
        weights = (sizes / sizes.sum()).unsqueeze(-1)
        mean = (weights * means).sum(-2)
        scatter = (sizes.unsqueeze(-1) * (means - mean.unsqueeze(-2)).square()).sum(-2)
        ones = mean.new_ones(*mean.shape[:-1], 1)
        return cls.unchecked(
            mean=mean, scatter=scatter, count=ones * sizes.sum(), degrees_of_freedom=ones * (len(sizes) - 1)
        )

    @classmethod
    def from_samples(cls, gradients: Float[Tensor, "*batch N D"]) -> "GradientMoments":
        """Exact moments of per-sample gradients; two passes, so no cancellation.

        Raises:
            ShapeError, DtypeError, NonFiniteError: They are no matrix of finite numbers with a row or more.
        """
        check_floating("gradients", gradients)
        if gradients.ndim < 2 or gradients.shape[-2] == 0:
            rule = "must have shape [..., N, D], N at least 1"
            raise ShapeError("gradients", rule, list(gradients.shape), "Stack one row a sample.")
        check_finite("gradients", gradients)
        moments = cls.from_groups(gradients, gradients.new_ones(gradients.shape[-2]))
        check_finite("scatter", moments.scatter, "The squares overflow: use float64, or scale the loss down.")
        return moments

    @classmethod
    def from_variance(
        cls, mean: Tensor, variance: Tensor, count: float, degrees_of_freedom: float
    ) -> "GradientMoments":
        """Moments with a stated variance of one sample's gradient, [..., D]. Checked."""
        ones = mean.new_ones(*mean.shape[:-1], 1)
        return cls(mean, variance * degrees_of_freedom, ones * count, ones * degrees_of_freedom)

    @property
    def variance(self) -> Float[Tensor, "*batch D"]:
        """Unbiased variance of one sample's gradient; NaN where the degrees of freedom are zero."""
        return self.scatter / self.degrees_of_freedom

    @once
    def noise(self) -> Float[Tensor, "*batch D"]:
        """Variance of ``mean`` as an estimate of the true gradient: scatter / (degrees of freedom N)."""
        return self.scatter / (self.degrees_of_freedom * self.count)

    @once
    def root(self) -> Float[Tensor, "*batch D"]:
        """Square root of ``noise``: the standard error of ``mean``."""
        return self.noise.sqrt()

    def merge(self, other: "GradientMoments") -> "GradientMoments":
        """Moments of the union of two disjoint sets of samples (Chan et al. 1979)."""
        count = self.count + other.count
        delta = other.mean - self.mean
        return self.unchecked(
            mean=self.mean + delta * (other.count / count),
            scatter=self.scatter + other.scatter + delta.square() * (self.count * other.count / count),
            count=count,
            degrees_of_freedom=self.degrees_of_freedom + other.degrees_of_freedom + 1,
        )

    def require_variance(self) -> "GradientMoments":
        """Return self, or raise TooFewSamplesError where no variance can be estimated. Reads the device."""
        check_values(
            "degrees_of_freedom",
            "must be at least 1 for a variance",
            self.degrees_of_freedom,
            self.degrees_of_freedom >= 1,
            "Use a batch of two or more samples, or Successive moments, which learn it over steps.",
            TooFewSamplesError,
        )
        return self


def welford(mean: Tensor, scatter: Tensor, value: Tensor, count: int) -> None:
    """Take the ``count``-th observation into the mean and scatter of those before, in place (Welford 1962).

    ``merge`` with a single observation, for tensors of any shape; ``value`` is written over.
    """
    gap = value.sub_(mean)
    scatter.addcmul_(gap, gap, value=(count - 1) / count)
    mean.add_(gap, alpha=1 / count)
