"""The calibrated update of one block: g_d = kappa_d sum_m w_md mu_md."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import Frame, Opinion, SignFrame
from bogc.calibration.conservatism import Conservatism, FusedCertainty
from bogc.calibration.weights import RelativeBelief, Weights
from bogc.checks import Unchecked, check_alike, check_finite, check_type, check_values
from bogc.errors import ShapeError
from bogc.posterior import GradientPosterior


@dataclass(frozen=True, eq=False)
class CalibratedUpdate(Unchecked):
    """What replaces the plain sum of gradients.

    Attributes:
        direction: g, [D], in units of the plain sum (a sum over sources of means over the batch).
        weights: w, [M, D], non-negative, summing to 1 over sources.
        conservatism: kappa >= 0, [D].

    Raises:
        NonFiniteError, RangeError, DtypeError, DeviceError: A field breaks these rules.
    """

    direction: Float[Tensor, " D"]
    weights: Float[Tensor, "M D"]
    conservatism: Float[Tensor, " D"]

    def __post_init__(self) -> None:
        check_alike("update", self.direction, self.weights, self.conservatism)
        for name in ("direction", "weights", "conservatism"):
            check_finite(name, getattr(self, name))
        for name in ("weights", "conservatism"):
            value = getattr(self, name)
            check_values(
                name, "must not be negative", value, value >= 0, "Derive it from opinions by calibrate()."
            )


def calibrate(
    posteriors: Sequence[GradientPosterior],
    opinions: Sequence[Opinion],
    fused: Opinion,
    *,
    frame: Frame | None = None,
    weights: Weights | None = None,
    conservatism: Conservatism | None = None,
) -> CalibratedUpdate:
    """Aggregate M posterior means [D] by the belief of each source and the certainty of all.

    With the defaults (sign frame, relative belief, fused certainty): all u -> 0 gives the plain sum, a source
    with u = 1 is ignored, all u = 1 gives no update, and the result does not depend on the order of the
    sources. Never waits for the device.

    Raises:
        ShapeError: There is not one opinion a posterior.
        TypeMismatchError: A posterior or an opinion is something else.
    """
    if len(posteriors) != len(opinions) or not posteriors:
        found = f"{len(posteriors)} posteriors and {len(opinions)} opinions"
        raise ShapeError(
            "posteriors and opinions", "must be one a source", found, "Pass both for each source."
        )
    for posterior, opinion in zip(posteriors, opinions, strict=True):
        check_type("posteriors", posterior, GradientPosterior, "Use a posterior route.")
        check_type("opinions", opinion, Opinion, "Turn evidence into an opinion by its Dirichlet first.")
    check_type("fused", fused, Opinion, "Use reduced.combine(opinions).")
    frame = frame or SignFrame()
    means = torch.stack([posterior.loc for posterior in posteriors])
    beliefs = torch.stack([frame.belief_per_dimension(opinion) for opinion in opinions])
    share = (weights or RelativeBelief())(beliefs, list(posteriors))
    kappa = (conservatism or FusedCertainty())(fused, frame, len(posteriors)).expand_as(means[0])
    return CalibratedUpdate.unchecked(
        direction=kappa * (share * means).sum(0), weights=share, conservatism=kappa
    )
