"""Formulas of chapter 1, gradient posteriors. Their checks are in the modules imported below."""

from fractions import Fraction
from math import e, gamma, pi
from typing import Any

import sympy as sp

from theory.registry import formula
from theory.support import (
    conjugate_checks,
    dependence_checks,
    filter_checks,
    moment_checks,
    successive_checks,
)
from theory.support.exact import checks_in, zipped

for _module in (conjugate_checks, moment_checks, dependence_checks, successive_checks, filter_checks):
    globals().update(checks_in(_module))


@formula("1.1")
def normal_precision(tau2: Any, sigma2: Any, n: Any) -> Any:
    """Posterior precision."""
    return 1 / tau2 + n / sigma2


@formula("1.1")
def normal_mean(m: Any, tau2: Any, mean: Any, sigma2: Any, n: Any) -> Any:
    """Posterior mean."""
    return (m / tau2 + n * mean / sigma2) / normal_precision(tau2, sigma2, n)


@formula("1.2")
def shrunk(m: Any, tau2: Any, mean: Any, noise: Any) -> Any:
    """Posterior mean and variance by the shrinkage factor."""
    kept = tau2 / (tau2 + noise)
    return m + kept * (mean - m), kept * noise


@formula("1.3")
def squares_around(scatter: Any, n: Any, mean: Any, g: Any) -> Any:
    """Sum of squares of the samples around g."""
    return scatter + n * (mean - g) ** 2


@formula("1.4")
def nig_update(kappa: Any, m: Any, a: Any, b: Any, n: Any, mean: Any, scatter: Any) -> Any:
    """Updated (kappa, m, a, b) of a Normal-inverse-gamma."""
    total = kappa + n
    pull = kappa * n / total * (mean - m) ** 2
    return total, (kappa * m + n * mean) / total, a + n / 2, b + (scatter + pull) / 2


@formula("1.5")
def marginal_density(g: float, kappa: float, m: float, a: float, b: float) -> float:
    """Density of the gradient, the variance integrated out."""
    bracket = 1 + kappa * (g - m) ** 2 / (2 * b)
    return gamma(a + 0.5) / gamma(a) * (kappa / (2 * pi * b)) ** 0.5 / bracket ** (a + 0.5)


@formula("1.5")
def student(kappa: Any, a: Any, b: Any) -> Any:
    """Degrees of freedom and squared scale of that Student-t."""
    return 2 * a, b / (a * kappa)


@formula("1.6")
def marginal_variance(kappa: Any, a: Any, b: Any) -> Any:
    """Variance of the Student-t marginal."""
    return b / ((a - 1) * kappa)


@formula("1.7")
def cross_entropy(mu: Any, v: Any, mean: Any, variance: Any) -> Any:
    """Mean of -log Normal(mu, v) under any law with this mean and variance."""
    return (sp.log(2 * sp.pi * v) + (variance + (mean - mu) ** 2) / v) / 2


@formula("1.8")
def second_moment(m: Any, tau2: Any, noise: Any) -> Any:
    """Mean square of a batch gradient."""
    return m**2 + tau2 + noise


@formula("1.9")
def prior_scale(squares: Any, noises: Any) -> Any:
    """Empirical-Bayes prior variance."""
    return max(sum(squares) / len(squares) - sum(noises) / len(noises), 0)


@formula("1.10")
def score(tau2: Any, observed: Any) -> Any:
    """Derivative of the log marginal likelihood; ``observed`` holds (squared mean, noise)."""
    return sum((square - noise - tau2) / (tau2 + noise) ** 2 for square, noise in observed) / 2


@formula("1.11")
def weighted_scale(tau2: Any, observed: Any) -> Any:
    """Precision-weighted moment estimate, of which an interior maximiser is a fixed point."""
    weights = [(tau2 + noise) ** (-2) for _, noise in observed]
    excess = [square - noise for square, noise in observed]
    return sum(w * x for w, x in zipped(weights, excess)) / sum(weights)


@formula("1.12")
def truncation_bias(noise: float) -> float:
    """Mean of max(square - noise, 0) for a gradient that is zero."""
    return noise * (2 / (pi * e)) ** 0.5


@formula("1.13")
def scale_variance(tau2: Any, noise: Any, dimensions: Any) -> Any:
    """Variance of the pooled estimate before truncation."""
    return 2 * (tau2 + noise) ** 2 / dimensions


@formula("1.14")
def grouped_variance(groups: Any) -> Any:
    """Variance of one sample from (size, mean) of groups."""
    mean = sum(size * value for size, value in groups) / sum(size for size, _ in groups)
    return sum(size * (value - mean) ** 2 for size, value in groups) / (len(groups) - 1)


@formula("1.15")
def merged(n1: Any, mean1: Any, scatter1: Any, n2: Any, mean2: Any, scatter2: Any) -> Any:
    """Count, mean and scatter of the union of two samples."""
    n = n1 + n2
    delta = mean2 - mean1
    return n, mean1 + delta * n2 / n, scatter1 + scatter2 + delta**2 * n1 * n2 / n


@formula("1.16")
def discounted(decay: Any, steps: Any) -> Any:
    """Sum of the weights 1, decay, decay^2, ... of ``steps`` observations."""
    return (1 - decay**steps) / (1 - decay)


@formula("1.17")
def difference_weight(now: Any, before: Any) -> Any:
    """Variance of one sample over that of the difference of the means of two batches of these sizes."""
    return 1 / (1 / Fraction(now) + 1 / Fraction(before))


@formula("1.18")
def effective_count(weights: Any) -> Any:
    """Kish's effective number of observations."""
    return sum(weights) ** 2 / sum(w**2 for w in weights)


@formula("1.18")
def effective_limit(decay: Any) -> Any:
    """The same for an endless exponentially weighted stream."""
    return (1 + decay) / (1 - decay)


@formula("1.19")
def difference_degrees(first: Any, second: Any, neighbours: Any) -> Any:
    """Degrees of freedom of weighted successive differences from sums of w, w^2 and w_k w_{k+1}."""
    return 2 * first**2 / (2 * second + neighbours)


@formula("1.20")
def kalman(mean: Any, v: Any, q: Any, observed: Any, r: Any) -> Any:
    """Gain, mean and variance after one prediction and one update."""
    gain = (v + q) / (v + q + r)
    return gain, mean + gain * (observed - mean), gain * r


@formula("1.21")
def steady_gain(ratio: Any) -> Any:
    """Limit of the gain for q / r = ratio."""
    return ((ratio**2 + 4 * ratio) ** 0.5 - ratio) / 2


@formula("1.22")
def ratio_of_momentum(beta: Any) -> Any:
    """Return q / r at which the steady gain is 1 - beta."""
    return (1 - beta) ** 2 / beta


@formula("1.22")
def moving_average(previous: Any, observed: Any, beta: Any) -> Any:
    """Exponential moving average."""
    return beta * previous + (1 - beta) * observed


@formula("1.23")
def start_gap(beta: Any) -> Any:
    """Second gain of the bias-corrected average less that of the filter."""
    return beta**2 * (1 - beta) / ((1 + beta) * (1 + beta**2))


@formula("1.24")
def adam_second_moment(g: Any, r: Any) -> Any:
    """Mean of Adam's bias-corrected second moment at a fixed true gradient."""
    return g**2 + r


@formula("1.25")
def product_row(cotangent: Any, rows: Any) -> Any:
    """Cotangent times Jacobian, from the per-sample rows."""
    return sum(c * row for c, row in zipped(cotangent, rows))


@formula("1.26")
def correlated(sigma2: Any, rho: Any, n: Any) -> Any:
    """Mean of the sample variance and variance of the sample mean under a common correlation."""
    return sigma2 * (1 - rho), sigma2 * (1 + (n - 1) * rho) / n


@formula("1.27")
def squares(total: Any, decay: Any, now: Any, before: Any, gap: Any) -> Any:
    """Discounted sum of squared differences, from that before, two batch sizes and today's difference."""
    return decay * total + difference_weight(now, before) * gap**2


@formula("1.27")
def drift_bias(drift: Any, now: Any, before: Any) -> Any:
    """What a gradient that moves by ``drift`` adds to the mean of today's term."""
    return difference_weight(now, before) * drift**2


@formula("1.27")
def moderated(total: Any, n: Any, pooled: Any, prior_count: Any) -> Any:
    """Variance of one sample moderated towards the block's."""
    return (total + prior_count * pooled) / (n + prior_count)


@formula("1.28")
def weighted_product(now: Any, before: Any, roots: Any) -> Any:
    """Mean over the block of products of successive gradients over the roots of the noise."""
    return sum(x * y / r for x, y, r in zipped(now, before, roots)) / len(roots)


@formula("1.28")
def signal_variance(a: Any, root: Any) -> Any:
    """tau^2 of a dimension."""
    return a * root


@formula("1.28")
def successive_belief(a: Any, root: Any, n: Any) -> Any:
    """Belief of a dimension, by the root of one sample's variance and the size of the batch."""
    return n * a / (n * a + root)


@formula("1.28")
def own_draw(root: Any, n: Any, count: Any, prior_count: Any) -> Any:
    """What today's difference inside the weights adds to a, to first order."""
    return root / (2 * n * (count + prior_count))


@formula("1.29")
def level(fast: Any, slow: Any) -> Any:
    """Level of the noise."""
    return fast / slow


@formula("1.29")
def levelled(level: Any, a: Any, root: Any, n: Any) -> Any:
    """tau^2 and noise of a dimension at a level."""
    return level * a * root, level * root**2 / n


@formula("1.30")
def epoch_covariance(variance: Any, samples: Any) -> Any:
    """Covariance of two batches of an epoch without replacement."""
    return -variance / samples


@formula("1.30")
def restored(a: Any, root: Any, samples: Any) -> Any:
    """Signal with what drawing without replacement takes away put back."""
    return a + root / samples


@formula("1.31")
def predicted(evidence: Any, phi: Any) -> Any:
    """Evidence, over W, that a step of drift leaves."""
    return phi**2 * evidence / (1 + (1 - phi**2) * evidence)


@formula("1.32")
def filtered(mean: Any, evidence: Any, phi: Any, ratio: Any, observed: Any) -> Any:
    """Mean and evidence after one step."""
    left = phi**2 * evidence / (1 + (1 - phi**2) * evidence)
    return phi * mean + ratio / (1 + left + ratio) * (observed - phi * mean), left + ratio


@formula("1.32")
def persistence(lag1: Any, lag2: Any) -> Any:
    """Return phi of an AR(1) process from its covariances."""
    return lag2 / lag1


@formula("1.32")
def stationary(lag1: Any, phi: Any) -> Any:
    """Variance of the process."""
    return lag1 / phi


@formula("1.33")
def before_batch_norm(eta: Any, z: Any, scale: Any, spread: Any) -> Any:
    """Gradients of the samples' outputs before a BatchNorm from those after it, in one channel."""
    n = len(z)
    level, slope = sum(eta) / n, sum(e * x for e, x in zipped(eta, z)) / n
    return [scale / spread * (e - level - x * slope) for e, x in zipped(eta, z)]
