"""Checks of chapter 1, third part: the Laplace route, and samples that depend on each other."""

import itertools
from fractions import Fraction
from typing import Any

import scipy.stats
import sympy as sp
import torch
from torch import nn

import theory.support.posterior_oracles as by
from bogc.gradients import gradient_rows
from bogc.posterior import GradientPrior, Laplace, LaplaceRoute, categorical_ggn, empirical_fisher
from theory.registry import How, check
from theory.support.posterior_oracles import SAMPLES, differs, exact_moments, f, gap, observed, tensor


@check("1.25", how=How.SYMBOLIC)
def laplace_by_curvature() -> float:
    """Invert the second derivative of N quadratic losses and a Gaussian prior."""
    theta, n, c, t = by.symbols("theta n c t")
    curvature = (n * c * (theta - 5) ** 2 / 2 + t * theta**2 / 2).diff(theta, 2)
    return differs(f.laplace_variance(n, c, t), 1 / curvature)


def softmax_layer() -> tuple[Any, Any, list[Any]]:
    """Return weights [3, 2], inputs and label probabilities of a linear softmax layer, in symbols."""
    weights, x = sp.Matrix(3, 2, sp.symbols("w:6", real=True)), sp.Matrix(sp.symbols("x:2", real=True))
    scores = (weights * x).applyfunc(sp.exp)
    return weights, x, list(scores / sum(scores))


@check("1.26", how=How.SYMBOLIC)
def ggn_is_the_hessian_of_a_linear_layer() -> float:
    """Second derivative of the cross-entropy for one label, and the mean squared gradient over all labels."""
    weights, x, p = softmax_layer()
    k, i = 1, 1
    wanted = -sp.log(p[2]).diff(weights[k, i], 2)
    fisher_mean = sum(q * sp.log(q).diff(weights[k, i]) ** 2 for q in p)
    found = f.ggn_weight(p[k], x[i])
    return differs((found, found), (wanted, fisher_mean))


@check("1.25", "1.26", "1.27", how=How.NUMERICAL, tolerance=1e-10, code="bogc.posterior.Laplace")
def laplace_curvatures_agree() -> float:
    """categorical_ggn, empirical_fisher and Laplace.parameter_posterior, dimension by dimension."""
    features, (n, mean, scatter) = torch.stack([tensor(0.3, -1.2), tensor(2.1, 0.7)]), exact_moments(SAMPLES)
    p = (features @ tensor(1.1, -0.4, 0.2, 0.9, -0.6, 0.5).view(2, 3)).log_softmax(-1)
    ggn = categorical_ggn(features, p)[:6].view(3, 2)
    wanted = [
        sum(f.ggn_weight(p[i, k].exp(), features[i, j]) for i in (0, 1)) / 2 for k in range(3) for j in (0, 1)
    ]
    _, moments = observed()
    second = f.fisher(scatter / (n - 1), mean, n)
    posterior = Laplace(lambda g: g, tensor(0.5), prior_precision=0.7).parameter_posterior(moments)
    found = (*ggn.flatten(), empirical_fisher(moments), posterior.variance)
    return gap(found, (*wanted, second, f.laplace_variance(n, second, Fraction(7, 10))))


@check("1.27", how=How.RATIONAL)
def fisher_is_the_mean_square() -> float:
    """Mean square of five gradients, in rationals."""
    n, mean, scatter = exact_moments(SAMPLES)
    return abs(f.fisher(scatter / (n - 1), mean, n) - sum(x * x for x in SAMPLES) / 5)


@check("1.28", how=How.SYMBOLIC)
def quadratic_push_forward() -> float:
    """Differentiate a quadratic loss at the points centre + A (+-1, +-1), which have covariance A A^T."""
    h1, h2, h3, *rest = sp.symbols("h1:4 c1:3 t1:3 a1:5", real=True)
    hessian, slope, centre = sp.Matrix([[h1, h2], [h2, h3]]), sp.Matrix(rest[:2]), sp.Matrix(rest[2:4])
    root, theta = sp.Matrix(2, 2, rest[4:]), sp.Matrix(sp.symbols("x y"))
    gradient = (theta.T * hessian * theta / 2 + slope.T * theta).jacobian(theta).T
    points = [centre + root * sp.Matrix(signs) for signs in itertools.product((-1, 1), repeat=2)]
    values = [gradient.subs(dict(zip(theta, point, strict=True))) for point in points]
    mean = sum(values, sp.zeros(2, 1)) / 4
    spread = sum(((v - mean) * (v - mean).T for v in values), sp.zeros(2, 2)) / 4
    found_mean, found_spread = f.pushed(hessian, centre, slope, root * root.T)
    return int(
        (found_mean - mean).expand() != sp.zeros(2, 1) or (found_spread - spread).expand() != sp.zeros(2, 2)
    )


@check("1.28", how=How.MONTE_CARLO, tolerance=1.0, code="bogc.posterior.Laplace", failure_rate=1e-6)
def laplace_on_a_quadratic() -> float:
    """4,000 draws of Laplace on a quadratic loss, in units of the limits that a Normal sample keeps.

    Mean: z below the quantile 1 - 5e-7 / 6; variance: (S - 1) s^2 / v within the chi-square quantiles of
    5e-7 / 6; D = 3 dimensions and two sides, so together they fail with probability at most 1e-6.
    """
    draws, tail, (_, moments) = 4000, 5e-7 / 6, observed()
    hessian, slope, centre = (
        torch.tensor([[2.0, 0.7, 0], [0.7, 1.5, 0.3], [0, 0.3, 3.1]]).double(),
        tensor(1, -2, 0.5),
        tensor(0.4, 1, -1),
    )
    curvature = tensor(2.0, 1.5, 3.1)
    found = Laplace(lambda t: hessian @ t + slope, centre, 0.7, curvature, draws)(moments)
    spread = torch.diag(1 / (5 * curvature + 0.7))
    mean, covariance = f.pushed(
        sp.Matrix(hessian.tolist()),
        sp.Matrix(centre.tolist()),
        sp.Matrix(slope.tolist()),
        sp.Matrix(spread.tolist()),
    )
    variance = tensor(*(covariance[i, i] for i in range(3)))
    z = (found.loc - tensor(*mean)).abs() / (variance / draws).sqrt() / scipy.stats.norm.isf(tail)
    chi = (draws - 1) * found.variance / variance
    low, high = scipy.stats.chi2.ppf(tail, draws - 1), scipy.stats.chi2.isf(tail, draws - 1)
    return max(float(z.max()), float(chi.max() / high), float(low / chi.min()))


@check("1.29", how=How.NUMERICAL, tolerance=0.05)
def delta_method_order() -> float:
    """Errors of a logistic gradient decay like eps^2, eps^4; less the stated ones, like eps^4, eps^6."""
    g, g1, g2, g3 = by.logistic_derivatives(0.4)

    def remainder(index, stated):
        leading = lambda eps: (g, (g1 * eps) ** 2)[index] + stated * f.delta_errors(g1, g2, g3, eps)[index]  # noqa: E731
        return by.order(lambda eps: abs(by.gradient_moments_at(0.4, eps)[index] - leading(eps)))

    return gap([remainder(i, stated) for stated in (0, 1) for i in (0, 1)], (2, 4, 4, 6))


@check("1.30", how=How.NUMERICAL, tolerance=1e-7, code="bogc.gradients.gradient_rows")
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


@check("1.31", how=How.RATIONAL)
def correlated_samples() -> float:
    """Traces with the covariance matrix of four equally correlated samples."""
    sigma2, rho, n = Fraction(7, 3), Fraction(2, 5), 4
    cells = [(i, j, sigma2 * (1 if i == j else rho)) for i in range(n) for j in range(n)]
    total = sum(c for _, _, c in cells)
    variance = (sum(c for i, j, c in cells if i == j) - total / n) / (n - 1)
    found = f.correlated(sigma2, rho, n)
    return max(abs(found[0] - variance), abs(found[1] - total / n**2))


@check("1.38", how=How.SYMBOLIC)
def laplace_without_draws() -> float:
    """Push the parameter's variance, from second derivatives, through the gradient of a quadratic loss."""
    theta, n, c, t = by.symbols("theta n c t")
    loss = c * (theta - 5) ** 2 / 2
    spread = 1 / (n * loss + t * theta**2 / 2).diff(theta, 2)
    return differs(f.laplace_gradient_variance(n, c, t), loss.diff(theta, 2) ** 2 * spread)


@check("1.38", how=How.NUMERICAL, tolerance=1e-12, code="bogc.posterior.LaplaceRoute")
def laplace_route_follows_its_formula() -> float:
    """LaplaceRoute with the mean square of five samples, summed in rationals."""
    second, (_, moments) = sum(x * x for x in SAMPLES) / 5, observed()
    found = LaplaceRoute(prior_precision=0.7)(moments, GradientPrior.centred(tensor(2.0))).variance
    return gap(found, [f.laplace_gradient_variance(5, second, Fraction(7, 10))])
