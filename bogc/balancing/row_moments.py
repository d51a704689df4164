"""What the rows of a Jacobian are, and where the variance of a source's gradient comes from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import ShapeError
from bogc.gradients import GradientMoments
from bogc.gradients.running import RunningMoments


class RowEstimate(NamedTuple):
    """What the rows of one source say of one block.

    Attributes:
        mean: Gradient of the source, [D].
        moments: Its moments [D]; None while the variance is not known.
        state: What the next call for this source and block is to be given.
    """

    mean: Float[Tensor, " D"]
    moments: GradientMoments | None
    state: Mapping[str, Any]


class RowMoments(ABC):
    """Groups the rows of a Jacobian by source and estimates the moments of each group."""

    @abstractmethod
    def by_source(self, matrix: Float[Tensor, "R D"]) -> Float[Tensor, "S n D"]:
        """Cut R = S n rows into those of the S sources.

        Raises:
            ShapeError: They cannot be cut so.
        """

    @abstractmethod
    def estimate(self, rows: Float[Tensor, "n D"], state: Mapping[str, Any]) -> RowEstimate:
        """Estimate from the rows of one source; ``state`` is the last call's, ``{}`` at first."""


@dataclass(frozen=True)
class OverSteps(RowMoments):
    """One row a source, the gradient of its mean loss; the variance is that of the row over past calls.

    The variance is that of :class:`bogc.gradients.Streaming`, with exponential forgetting, and what is said
    there holds here. How many samples a row averages is not known: it counts as one observation. The
    posterior ``normal`` does not ask; ``normal-inverse-gamma`` does, and is then not that of BOGC.
    """

    decay: float = 0.9
    warmup: int = 5

    def __post_init__(self) -> None:
        check_number("decay", self.decay, 0 < self.decay < 1, "must lie in (0, 1)", "Use 0.9.")
        check_number("warmup", self.warmup, self.warmup >= 2, "must be at least 2", "Use 5.")

    def by_source(self, matrix: Float[Tensor, "R D"]) -> Float[Tensor, "S n D"]:
        """See the base class; n = 1."""
        return matrix.unsqueeze(1)

    def estimate(self, rows: Float[Tensor, "n D"], state: Mapping[str, Any]) -> RowEstimate:
        """See the base class."""
        (row,) = rows
        past = RunningMoments(**state) if state else RunningMoments.empty(row)
        moments = None
        if past.steps >= self.warmup:
            ones = row.new_ones(1)
            moments = GradientMoments.unchecked(
                mean=row,
                scatter=past.variance * past.degrees_of_freedom,
                count=ones,
                degrees_of_freedom=ones * past.degrees_of_freedom,
            )
        return RowEstimate(row, moments, vars(past.update(row, self.decay)))


@dataclass(frozen=True)
class WithinBatch(RowMoments):
    """n rows a source, the gradients of single samples: first all of source 0, then all of source 1, ...

    torchjd makes such a Jacobian from ``backward([fusion_losses, audio_losses, ...])``, each of shape [n].
    The moments are exact, as those of :class:`bogc.gradients.PerSample`, and nothing is carried over steps.
    """

    sources: int

    def __post_init__(self) -> None:
        check_number("sources", self.sources, self.sources >= 1, "must be at least 1", "Count the losses.")

    def by_source(self, matrix: Float[Tensor, "R D"]) -> Float[Tensor, "S n D"]:
        """See the base class; n of 2 or more, the same for each source."""
        count, left = divmod(len(matrix), self.sources)
        if left or count < 2:
            rule = f"must have two rows or more for each of {self.sources} sources, as many for each"
            remedy = "Differentiate one loss vector a source, all of one length."
            raise ShapeError("matrix", rule, f"{len(matrix)} rows", remedy)
        grouped: Tensor = matrix.unflatten(0, (self.sources, count))
        return grouped

    def estimate(self, rows: Float[Tensor, "n D"], state: Mapping[str, Any]) -> RowEstimate:
        """See the base class."""
        moments = GradientMoments.from_samples(rows)
        return RowEstimate(moments.mean, moments, state)
