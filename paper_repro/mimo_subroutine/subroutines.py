"""What each method does between gradients, or losses, and the direction of the update."""

import warnings
from collections.abc import Callable
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.errors import ConfigError
from bogc.methods.mmpareto import common_direction, lengthen, pareto_weight
from bogc.methods.sums import smoothed_maximum_weights

try:
    from torchjd.aggregation import MGDA, CAGrad, NashMTL, PCGrad, UPGrad
except ImportError:
    TORCHJD = False
else:
    TORCHJD = True

WEIGHTS: Final = "MIMO, weights"
DIRECTION: Final = "MIMO, weights and weighted sum"
BASELINES: Final = ("MGDA", "CAGrad", "Nash-MTL", "PCGrad", "UPGrad", "MMPareto")
_SMOOTHING: Final = 0.1
_STRENGTH: Final = 1.0


def gradients(sources: int, size: int, generator: torch.Generator) -> Float[Tensor, "S D"]:
    """Normal rows in float32, of which the last opposes the first at a cosine of about -1/2."""
    rows = torch.randn(sources, size, generator=generator, dtype=torch.float32)
    rows[-1].mul_(0.75**0.5).sub_(rows[0], alpha=0.5)
    return rows


def mimo_weights(losses: list[Float[Tensor, ""]]) -> Float[Tensor, " S"]:
    """Weights of the S losses, fusion first: all that MIMO computes beside one backward pass."""
    unimodal = _STRENGTH * smoothed_maximum_weights(torch.stack(losses[1:]), _SMOOTHING)
    return torch.cat([torch.ones_like(unimodal[:1]), unimodal])


def mmpareto_pairs(rows: Float[Tensor, "S D"]) -> list[Tensor]:
    """MMPareto for each encoder: D / (S - 1) of the columns, the fusion's row and its own."""
    chunks = rows.chunk(len(rows) - 1, dim=1)
    found = []
    for number, chunk in enumerate(chunks, start=1):
        fused, own = chunk[0], chunk[number]
        common = common_direction(fused, own, pareto_weight(fused, own))
        found.append(lengthen(common, fused + own, 1.5))
    return found


def nash_mtl(rows: Float[Tensor, "S D"]) -> Float[Tensor, " D"]:
    """Nash-MTL, started anew as at every step."""
    with warnings.catch_warnings():
        for kind in (UserWarning, RuntimeWarning):  # of the solver: the form of the problem
            warnings.simplefilter("ignore", kind)
        direction: Tensor = NashMTL(n_tasks=len(rows))(rows)
    return direction


def subroutines(
    rows: Float[Tensor, "S D"], losses: list[Float[Tensor, ""]]
) -> dict[str, Callable[[], object]]:
    """Bind every method to one Jacobian and its losses.

    Raises:
        ConfigError: torchjd is not installed.
    """
    if not TORCHJD:
        raise ConfigError("torchjd", "must be installed", "no torchjd", "Run pip install 'bogc[peers]'.")
    mgda, cagrad, pcgrad, upgrad = MGDA(), CAGrad(c=0.5), PCGrad(), UPGrad()
    return {
        WEIGHTS: lambda: mimo_weights(losses),
        DIRECTION: lambda: mimo_weights(losses) @ rows,
        "MGDA": lambda: mgda(rows),
        "CAGrad": lambda: cagrad(rows),
        "Nash-MTL": lambda: nash_mtl(rows),
        "PCGrad": lambda: pcgrad(rows),
        "UPGrad": lambda: upgrad(rows),
        "MMPareto": lambda: mmpareto_pairs(rows),
    }
