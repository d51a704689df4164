"""Methods that look at the separate gradients of the sources, wherever several meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bogc.errors import NonFiniteError
from bogc.gradients import GradientGroup, check_finite_step
from bogc.methods.base import Step
from bogc.methods.batch import BatchView, check_finite_groups
from bogc.methods.info import StepInfo


@dataclass(frozen=True, eq=False)
class Jacobian:
    """Gradients of several mean losses with respect to the same parameters.

    An encoder is reached by the fusion and its own loss, a head by one loss only, so no row is empty, and
    methods that compare rows compare gradients of the same parameters.

    Attributes:
        owner: The modality that owns the parameters, or ``"shared"``.
        sources: Names of the S losses, fusion first.
        rows: One gradient a source, [S, D], float32 at least; some columns may be zeros that fill up.
        tensors: Columns of each parameter tensor.
    """

    owner: str
    sources: tuple[str, ...]
    rows: Float[Tensor, "S D"]
    tensors: Sequence[slice]


def combine(
    groups: Sequence[GradientGroup], aggregate: Callable[[Jacobian], Tensor]
) -> dict[nn.Parameter, Tensor]:
    """Apply ``aggregate`` wherever several sources meet; a single source's gradient is kept."""
    gradients: dict[nn.Parameter, Tensor] = {}
    for group in groups:
        layout, rows = group.layout, group.gradients
        if len(rows) == 1:
            gradients |= layout.unpack(rows[0])
            continue
        direction = rows.new_empty(layout.size)
        for owner, sources, place in layout.runs():
            jacobian = Jacobian(owner, sources, rows[:, place], layout.tensors(place))
            direction[place] = aggregate(jacobian)
        gradients |= layout.unpack(direction)
    return gradients


def separate_step(
    seen: BatchView,
    groups: Sequence[GradientGroup],
    gradients: Mapping[nn.Parameter, Tensor],
    factors: Mapping[str, Tensor] | None = None,
) -> Step:
    """Check that what was computed is finite, and report it.

    Raises:
        NonFiniteError: A loss or gradient is NaN or infinite; its source is named.
    """
    values = seen.values()
    try:
        check_finite_step({"losses": list(values.values()), "gradient": list(gradients.values())})
    except NonFiniteError:
        check_finite_groups(values, groups)
        raise
    return Step(gradients, StepInfo.of(values, factors), owned=True)


def interpolate(plain: Tensor, direction: Tensor, strength: float) -> Tensor:
    """From the plain sum (0) to a method's direction (1), linearly."""
    return torch.lerp(plain, direction, strength)
