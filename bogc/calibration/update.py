"""The calibrated update: g_d = kappa_d sum_m w_md g_md (theory 5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief import Evidence, Frame, Opinion, SignFrame
from bogc.belief.dirichlet import sum_tolerance
from bogc.calibration.conservatism import Conservatism, FusedCertainty
from bogc.calibration.weights import RelativeBelief, Weights
from bogc.checks import (
    Unchecked,
    check_alike,
    check_finite,
    check_floating,
    check_list,
    check_type,
    check_values,
)
from bogc.errors import MassSumError, ShapeError
from bogc.gradients import ONE_BLOCK, Pool
from bogc.gradients.groups import sum_of
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

    direction: Float[Tensor, "*any D"]
    weights: Float[Tensor, "M *any D"]
    conservatism: Float[Tensor, "*any D"]

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

    def spread(self) -> "CalibratedUpdate":
        """Give every dimension the weights and conservatism that one opinion has for its block."""
        shape = self.direction.shape
        weights, allowed = self.weights.expand(-1, *shape), self.conservatism.expand(shape)
        return self.unchecked(direction=self.direction, weights=weights, conservatism=allowed)


def aggregate(
    values: Float[Tensor, "M *any D"],
    posterior: GradientPosterior,
    evidence: Evidence,
    fused: Evidence,
    frame: Frame,
    weights: Weights,
    conservatism: Conservatism,
    pool: Pool = ONE_BLOCK,
) -> CalibratedUpdate:
    """Sum over M stacked sources, weighted by what each commits, times what all together allow.

    Pure and unchecked; never waits for the device. ``calibrate`` is the same for lists of objects.

    Args:
        values: What is aggregated.
        posterior: Of all sources, stacked like ``values``.
        evidence: Likewise.
        fused: Of all together.
        frame: What the evidence is about.
        weights: How much each source counts.
        conservatism: How large a step is allowed.
        pool: What the dimensions of a block are.
    """
    believed = frame.certainty if weights.of_sources else frame.committed
    share = weights(believed(evidence, pool), posterior)
    allowed = conservatism(fused, frame, len(values), pool)
    direction = sum_of(share * values).mul_(allowed)
    return CalibratedUpdate.unchecked(direction=direction, weights=share, conservatism=allowed)


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
    does not depend on the order of the sources (theory/05_update.md). Reads the device.

    Args:
        posteriors: One a source.
        opinions: One a source.
        fused: Their combination.
        means: What is aggregated, one [D] a source: batch means in BOGC's default; posterior means if None.
        frame: What the opinions are about; SignFrame if None.
        weights: RelativeBelief if None.
        conservatism: FusedCertainty if None.

    Raises:
        ShapeError: There is not one opinion a posterior, or they are not about the same dimensions.
        TypeMismatchError, DtypeError, DeviceError: An object of another kind, dtype or device.
        NonFiniteError: A mean is NaN or infinite.
    """
    lists = {"posteriors": posteriors, "opinions": opinions} | ({} if means is None else {"means": means})
    for name, given in lists.items():
        check_list(name, given)
    values = (
        [p.loc if isinstance(p, GradientPosterior) else p for p in posteriors] if means is None else means
    )
    counts = [len(posteriors), len(opinions), len(values)]
    if len(set(counts)) > 1 or not posteriors:
        found = "{} posteriors, {} opinions and {} means".format(*counts)
        raise ShapeError(
            "posteriors and opinions", "must be one a source", found, "Pass both for each source."
        )
    for posterior, opinion in zip(posteriors, opinions, strict=True):
        check_type("posteriors", posterior, GradientPosterior, "Use a posterior route.")
        check_type("opinions", opinion, Opinion, "Turn evidence into an opinion by its Dirichlet first.")
    for value in values:
        check_floating("means", value)
        check_finite("means", value)
    check_type("fused", fused, Opinion, "Use reduced.combine(opinions).")
    frame, conservatism = frame or SignFrame(), conservatism or FusedCertainty()
    conservatism.check(frame)
    counted, together = [opinion.to_evidence() for opinion in opinions], fused.to_evidence()
    check_fit(list(values), [*(frame.committed(e) for e in counted), frame.committed(together)])
    evidence = Evidence.unchecked(
        values=torch.stack([e.values for e in counted]), prior_weight=counted[0].prior_weight
    )
    every = GradientPosterior.unchecked(
        loc=torch.stack([p.loc for p in posteriors]),
        variance=torch.stack([p.variance.expand_as(p.loc) for p in posteriors]),
    )
    update = aggregate(
        torch.stack(list(values)), every, evidence, together, frame, weights or RelativeBelief(), conservatism
    )
    return update.spread()


def check_fit(means: list[Tensor], beliefs: list[Tensor]) -> None:
    """Raise unless all have one dtype and device and are about the same dimensions."""
    check_alike("posteriors and opinions", *means, *beliefs)
    shapes = [list(value.shape) for value in (*means, *beliefs)]
    if any(shape != shapes[0] for shape in shapes):
        found = ", ".join(str(shape) for shape in shapes)
        remedy = "Pass the opinions of these posteriors, their fusion and their frame."
        raise ShapeError("posteriors and opinions", "must be about the same dimensions", found, remedy)
