"""What the combination rules share: checks of the sources, and folding a rule for two over any number."""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

from bogc.belief import Opinion
from bogc.checks import check_alike, check_broadcastable, check_type
from bogc.errors import RangeError, ShapeError

Pair = tuple[Float[Tensor, "*#batch K"], Float[Tensor, "*#batch"]]


def fold_pairs(rule: Callable[[Pair, Pair], Pair], opinions: Sequence[Opinion]) -> Opinion:
    """Apply an associative rule for two (belief, uncertainty) pairs from left to right; unchecked, hot path.

    The fused base rate is the first source's: the rules do not speak of it.
    """
    pair = (opinions[0].belief, opinions[0].uncertainty)
    for opinion in opinions[1:]:
        pair = rule(pair, (opinion.belief, opinion.uncertainty))
    return Opinion.unchecked(belief=pair[0], uncertainty=pair[1], base_rate=opinions[0].base_rate)


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
