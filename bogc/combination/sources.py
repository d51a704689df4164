"""What every combination rule checks of its sources before it starts."""

from collections.abc import Sequence

from torch import Tensor

from bogc.belief import Opinion
from bogc.checks import check_alike, check_broadcastable, check_type
from bogc.errors import RangeError, ShapeError


def check_sources(parameter: str, sources: Sequence[object]) -> None:
    """Raise RangeError when there is nothing to combine."""
    if len(sources) == 0:
        raise RangeError(
            parameter, "must hold at least one source", 0, "Start from the vacuous opinion instead."
        )


def check_opinions(opinions: Sequence[Opinion]) -> None:
    """Raise unless all are opinions on one frame, of one dtype and device, with shapes that broadcast."""
    check_sources("opinions", opinions)
    for index, opinion in enumerate(opinions):
        check_type(
            f"opinions[{index}]", opinion, Opinion, "Turn evidence into an opinion by its Dirichlet first."
        )
    check_alike("opinions", *(opinion.belief for opinion in opinions))
    check_same_axis("opinions", [opinion.belief for opinion in opinions])


def check_same_axis(parameter: str, values: Sequence[Tensor]) -> None:
    """Raise ShapeError unless the last axes are equal and the others broadcast."""
    sizes = [value.shape[-1] for value in values]
    if len(set(sizes)) > 1:
        raise ShapeError(
            parameter, "must share one frame on their last axis", sizes, "Refine to a common frame."
        )
    check_broadcastable(parameter, *values)
