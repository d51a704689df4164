"""The Student-t marginal of a gradient whose noise variance is unknown."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from bogc.checks import Unchecked, check_alike, check_finite, check_floating, check_values
from bogc.posterior.gradient_posterior import GradientPosterior, check_positive_variance


@dataclass(frozen=True, eq=False)
class StudentTPosterior(Unchecked):
    """g_d ~ StudentT(df, loc_d, scale_d).

    Attributes:
        df: Degrees of freedom, above 2, [..., D] or [..., 1].
        loc: Mean, [..., D].
        scale: Scale (not the standard deviation), positive, [..., D].

    Raises:
        RangeError, ZeroVarianceError, NonFiniteError, DtypeError, DeviceError: A field breaks these rules.
    """

    df: Float[Tensor, "*df"]
    loc: Float[Tensor, "*batch D"]
    scale: Float[Tensor, "*batch D"]

    def __post_init__(self) -> None:
        for name, value in (("df", self.df), ("loc", self.loc), ("scale", self.scale)):
            check_floating(name, value)
            check_finite(name, value)
        check_alike("df, loc and scale", self.df, self.loc, self.scale)
        check_values("df", "must exceed 2 for a variance", self.df, self.df > 2, "Use a larger prior shape.")
        check_positive_variance("scale", self.scale)

    @property
    def variance(self) -> Float[Tensor, "*batch D"]:
        """scale^2 df / (df - 2)."""
        return self.scale.square() * (self.df / (self.df - 2))

    def to_gaussian(self) -> GradientPosterior:
        """Match the first two moments."""
        return GradientPosterior.unchecked(loc=self.loc, variance=self.variance)

    def to_pyro(self) -> Any:
        """Return the ``pyro.distributions.StudentT``, one event of D dimensions."""
        from pyro.distributions import StudentT  # slow to import, and no step of training needs it

        return StudentT(self.df, self.loc, self.scale).to_event(1)
