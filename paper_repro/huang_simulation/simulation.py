"""Four overlapping Gaussian modalities, least squares on the first k, and the exact risks."""

import torch
from jaxtyping import Float
from torch import Tensor

from paper_repro.huang_simulation.config import MODALITIES, WIDTH


def latent(samples: int, generator: torch.Generator) -> Float[Tensor, "N M D"]:
    """Independent standard normal z, float64 [N, 4, 100]."""
    return torch.randn(samples, MODALITIES, WIDTH, dtype=torch.float64, generator=generator)


def mixed(z: Float[Tensor, "N M D"], overlap: float) -> Float[Tensor, "N M D"]:
    """m_i = (1 - w) z_i + w z_1."""
    return (1 - overlap) * z + overlap * z[:, :1]


def target(modalities: Float[Tensor, "N M D"]) -> Float[Tensor, " N"]:
    """y, the sum of all coordinates of all modalities."""
    return modalities.sum((1, 2))


def least_squares(inputs: Float[Tensor, "N P"], targets: Float[Tensor, " N"]) -> Float[Tensor, " P1"]:
    """Intercept, then coefficients, [P + 1], that minimise the squared error; if several do, the shortest.

    By singular values: at w = 1 all modalities are equal, and torch's default driver, gelsy, often mistakes
    the rank, unless deterministic algorithms are asked for, which fill the fresh memory that it reads.
    """
    design = _with_intercept(inputs)
    solution: Tensor = torch.linalg.lstsq(design, targets.unsqueeze(-1), driver="gelsd").solution
    return solution.squeeze(-1)


def mean_squared_error(
    coefficients: Float[Tensor, " P1"], inputs: Float[Tensor, "N P"], targets: Float[Tensor, " N"]
) -> float:
    """Mean over samples of the squared error of the linear prediction."""
    return (_with_intercept(inputs) @ coefficients - targets).square().mean().item()


def best_mse(k: int, overlap: float) -> float:
    """Least mean squared error that the first k modalities allow: equation 6.29 of theory/06_siblings.md."""
    return (MODALITIES - k) * WIDTH * (1 - overlap) ** 2


def expected_mse(k: int, overlap: float, samples: int) -> float:
    """Mean held-out error of least squares from ``samples`` samples when w < 1.

    With P Gaussian inputs and an intercept, independent Gaussian noise of variance s^2 and n samples it is
    s^2 (1 + 1/n) (n - 2) / (n - P - 2); here the noise is what the unseen modalities add.
    """
    inputs = k * WIDTH
    return best_mse(k, overlap) * (1 + 1 / samples) * (samples - 2) / (samples - inputs - 2)


def _with_intercept(inputs: Float[Tensor, "N P"]) -> Tensor:
    return torch.cat([inputs.new_ones(len(inputs), 1), inputs], dim=1)
