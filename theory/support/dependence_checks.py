"""Checks of chapter 1, third part: samples that depend on each other."""

from fractions import Fraction

import torch
from torch import nn

from bogc.gradients import gradient_rows
from theory.registry import How, check
from theory.support.posterior_oracles import f, tensor


@check("1.25", how=How.NUMERICAL, tolerance=1e-7, code="bogc.gradients.gradient_rows")
def batch_norm_keeps_linearity() -> float:
    """BatchNorm in training mode: rows of samples add up to finite differences of weighted losses."""
    torch.manual_seed(4)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).double().train()
    x, y, entropy = (
        torch.randn(5, 3).double(),
        torch.tensor([0, 1, 1, 0, 1]),
        nn.CrossEntropyLoss(reduction="none"),
    )
    bias, step, errors = net[0].weight, torch.zeros(4, 3).double(), []
    step[1, 2] = 1e-5
    found = gradient_rows(entropy(net(x), y), [bias], torch.eye(5).double(), False)
    rows = [row[id(bias)] for row in found]
    for cotangent in (tensor(0.2, 0.2, 0.2, 0.2, 0.2), tensor(0.5, 0, 0.3, 0, 0.2)):
        with torch.no_grad():
            ends = [torch.func.functional_call(net, {"0.weight": bias + s * step}, x) for s in (1, -1)]
            slope = (
                sum(s * (cotangent @ entropy(end, y)) for s, end in zip((1, -1), ends, strict=True)) / 2e-5
            )
        errors.append(float((f.product_row(cotangent, rows)[1, 2] - slope).abs()))
    return max(errors)


@check("1.26", how=How.RATIONAL)
def correlated_samples() -> float:
    """Traces with the covariance matrix of four equally correlated samples."""
    sigma2, rho, n = Fraction(7, 3), Fraction(2, 5), 4
    cells = [(i, j, sigma2 * (1 if i == j else rho)) for i in range(n) for j in range(n)]
    total = sum(c for _, _, c in cells)
    variance = (sum(c for i, j, c in cells if i == j) - total / n) / (n - 1)
    found = f.correlated(sigma2, rho, n)
    return max(abs(found[0] - variance), abs(found[1] - total / n**2))
