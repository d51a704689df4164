"""What an estimator of gradient moments is given and returns."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from bogc.errors import TooFewSamplesError
from bogc.gradients.blocks import Block
from bogc.gradients.moments import GradientMoments
from bogc.gradients.partition import ModalityPartition
from bogc.gradients.parts import Part, Place
from bogc.gradients.vjp import mean_cotangent, vector_jacobian_products

State = Mapping[str, dict[str, Any]]
Losses = Mapping[str, Tensor]
"""Source -> losses [N], one a sample; N may differ between sources."""


class Estimate(NamedTuple):
    """What one source's batch says, by block name; blocks that the loss does not reach are absent.

    Attributes:
        moments: Moments [D]; a block whose variance is not known yet has none.
        means: Gradient of the mean loss, [D].
        state: What the next call for this source is to be given.
    """

    moments: dict[str, GradientMoments]
    means: dict[str, Tensor]
    state: State


def block_gradients(
    losses: Float[Tensor, " N"],
    blocks: Sequence[Block],
    cotangents: Float[Tensor, "rows N"],
    vectorize: bool = False,
) -> dict[str, Float[Tensor, "rows D"]]:
    """Return the gradient rows of each block that ``losses`` reach, flattened."""
    parameters = [parameter for block in blocks for parameter in block.parameters]
    gradients = iter(vector_jacobian_products(losses, parameters, cotangents, vectorize=vectorize))
    rows = {block.name: block.flatten([next(gradients) for _ in block.parameters]) for block in blocks}
    return {name: row for name, row in rows.items() if row is not None}


class MomentEstimator(ABC):
    """Estimates the gradient moments of each source, block by block, without changing anything."""

    def attach(self, partition: ModalityPartition) -> None:
        """Prepare to estimate on a partition's modules; called when a balancer is built, and repeatable."""
        return

    @abstractmethod
    def estimate(
        self, losses: Losses, blocks: Sequence[Block], states: Mapping[str, State]
    ) -> dict[str, Estimate]:
        """Estimate, for each source in ``losses``.

        Args:
            losses: Losses [N] by source, of one forward pass whose graph is kept.
            blocks: The parameters.
            states: What the last call returned as a source's state; sources not seen before may be absent.
                Only Streaming uses it.
        """

    def alike(self, losses: Losses, blocks: Sequence[Block]) -> bool:
        """Whether every process makes as many backward passes as the others, whatever samples it has."""
        return True

    def measure(
        self, losses: Losses, blocks: Sequence[Block], places: Mapping[str, Place]
    ) -> dict[str, Part]:
        """Differentiate the losses of each source, a part of a batch: here, for the mean alone in one pass.

        What the parts of a batch say adds up; ``conclude`` then does what ``estimate`` does with the whole.

        Args:
            losses: Losses [n] by source, of samples of this process.
            blocks: The parameters.
            places: Where they stand in the batch, by source.
        """
        found = {}
        for source, loss in losses.items():
            place = places[source]
            rows = block_gradients(loss, blocks, mean_cotangent(loss, place.count))
            found[source] = Part(
                rows, self.sizes(place.first, len(loss)), self.sizes(place.start, place.count)
            )
        return found

    def sizes(self, first: int, count: int) -> tuple[int, ...]:
        """How many of ``count`` samples from number ``first`` on fall into each group of a part."""
        return (count,)

    @abstractmethod
    def conclude(self, part: Part, state: State) -> Estimate:
        """Estimate from what was measured of one source over the whole batch; ``state`` is that source's."""


def check_enough(parameter: str, losses: Losses, needed: int) -> None:
    """Raise TooFewSamplesError if a source has fewer than ``needed`` samples."""
    check_count(parameter, min(map(len, losses.values()), default=needed), needed)


def check_count(parameter: str, found: int, needed: int) -> None:
    """Raise TooFewSamplesError if ``found`` samples are fewer than ``needed``."""
    if found < needed:
        raise TooFewSamplesError(
            parameter,
            f"needs at least {needed} samples in a batch",
            found,
            "Drop the last short batch, use fewer groups, or Streaming moments, which need one sample.",
        )
