"""The calibrated update of one block: g_d = kappa_d sum_m w_md mu_md."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import Frame, Opinion, SignFrame
from bogc.belief.dirichlet import sum_tolerance
from bogc.calibration.conservatism import Conservatism, FusedCertainty
from bogc.calibration.weights import RelativeBelief, Weights
from bogc.checks import Unchecked, check_alike, check_finite, check_floating, check_type, check_values
from bogc.errors import MassSumError, ShapeError
from bogc.posterior import GradientPosterior


@dataclass(frozen=True, eq=False)
class CalibratedUpdate(Unchecked):
    """What replaces the plain sum of gradients.

    Attributes:
        direction: g, [D], in units of the plain sum (a sum over sources of means over the batch).
        weights: w, [M, D], non-negative, summing to 1 over sources.
        conservatism: kappa >= 0, [D].

    Raises:
        NonFiniteError, RangeError, MassSumError, ShapeError, DtypeError, DeviceError: A field breaks these
            rules.
    """

    direction: Float[Tensor, " D"]
    weights: Float[Tensor, "M D"]
    conservatism: Float[Tensor, " D"]

    def __post_init__(self) -> None:
        for name in ("direction", "weights", "conservatism"):
            check_floating(name, getattr(self, name))
        check_alike("update", self.direction, self.weights, self.conservatism)
        shapes = [list(value.shape) for value in (self.direction, self.weights, self.conservatism)]
        if self.direction.ndim != 1 or shapes != [shapes[0], [len(self.weights), *shapes[0]], shapes[0]]:
            raise ShapeError("update", "must have shapes [D], [M, D] and [D]", shapes, "Use calibrate().")
        for name in ("direction", "weights", "conservatism"):
            check_finite(name, getattr(self, name))
        for name in ("weights", "conservatism"):
            value = getattr(self, name)
            check_values(
                name, "must not be negative", value, value >= 0, "Derive it from opinions by calibrate()."
            )
        total = self.weights.sum(0)
        valid = (total - 1).abs() <= sum_tolerance(total)
        check_values("weights", "must sum to 1", total, valid, "Divide them by their sum.", MassSumError)


def calibrate(
    posteriors: Sequence[GradientPosterior],
    opinions: Sequence[Opinion],
    fused: Opinion,
    *,
    means: Sequence[Tensor] | None = None,
    frame: Frame | None = None,
    weights: Weights | None = None,
    conservatism: Conservatism | None = None,
) -> CalibratedUpdate:
    """Aggregate one vector [D] a source by the belief of each source and the certainty of all.

    With the defaults (sign frame, relative belief, fused certainty): all u -> 0 gives the plain sum, a source
    with u = 1 does not change the direction (it still counts in M), all u = 1 gives no update, and the result
    does not depend on the order of the sources (theory/05_update.md). Never waits for the device.

    Args:
        posteriors: One a source.
        opinions: One a source.
        fused: Their combination.
        means: What is aggregated, one [D] a source; the posterior means if None.
        frame: What the opinions are about; SignFrame if None.
        weights: RelativeBelief if None.
        conservatism: FusedCertainty if None.

    Raises:
        ShapeError: There is not one opinion a posterior, or they are not about the same dimensions.
        TypeMismatchError: A posterior or an opinion is something else.
        DtypeError, DeviceError: They do not fit together.
    """
    counts = [len(posteriors), len(opinions), len(posteriors if means is None else means)]
    if len(set(counts)) > 1 or not posteriors:
        found = "{} posteriors, {} opinions and {} means".format(*counts)
        raise ShapeError(
            "posteriors and opinions", "must be one a source", found, "Pass both for each source."
        )
    for posterior, opinion in zip(posteriors, opinions, strict=True):
        check_type("posteriors", posterior, GradientPosterior, "Use a posterior route.")
        check_type("opinions", opinion, Opinion, "Turn evidence into an opinion by its Dirichlet first.")
    check_type("fused", fused, Opinion, "Use reduced.combine(opinions).")
    frame = frame or SignFrame()
    values = [posterior.loc for posterior in posteriors] if means is None else list(means)
    believed = [frame.belief_per_dimension(opinion) for opinion in opinions]
    allowed = (conservatism or FusedCertainty())(fused, frame, len(posteriors))
    check_fit(values, believed, allowed)
    stacked, beliefs, kappa = torch.stack(values), torch.stack(believed), allowed.expand_as(values[0])
    share = (weights or RelativeBelief())(beliefs, list(posteriors))
    return CalibratedUpdate.unchecked(
        direction=kappa * (share * stacked).sum(0), weights=share, conservatism=kappa
    )


def check_fit(means: list[Tensor], beliefs: list[Tensor], kappa: Tensor) -> None:
    """Raise unless all have one dtype and device and are about the same dimensions; kappa may be [1]."""
    check_alike("posteriors and opinions", *means, *beliefs, kappa)
    shapes = [list(value.shape) for value in (*means, *beliefs)]
    if any(shape != shapes[0] for shape in shapes) or list(kappa.shape) not in (shapes[0], [1]):
        found = ", ".join(str(shape) for shape in (*shapes, list(kappa.shape)))
        remedy = "Pass the opinions of these posteriors, their fusion and their frame."
        raise ShapeError("posteriors and opinions", "must be about the same dimensions", found, remedy)
