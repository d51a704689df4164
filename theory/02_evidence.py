"""Formulas of chapter 2, precision as evidence. Their checks are in the modules imported below."""

from math import log
from typing import Any

from theory.registry import formula
from theory.support import evidence_map_checks, pseudo_count_checks
from theory.support.exact import checks_in

for _module in (pseudo_count_checks, evidence_map_checks):
    globals().update(checks_in(_module))


@formula("2.1")
def pseudo_count(weight: Any, precision: Any, prior_precision: Any) -> Any:
    """Evidence from the posterior and the prior precision."""
    return weight * (precision / prior_precision - 1)


@formula("2.1")
def counted(weight: Any, n: Any, tau2: Any, sigma2: Any) -> Any:
    """The same from the batch."""
    return weight * n * tau2 / sigma2


@formula("2.2")
def one_more_sample(weight: Any, tau2: Any, sigma2: Any) -> Any:
    """Evidence that one sample adds."""
    return weight * tau2 / sigma2


@formula("2.3")
def of_batches(weight: Any, tau2: Any, batches: Any) -> Any:
    """Evidence of independent batches, given as (n, sigma2)."""
    return weight * tau2 * sum(n / sigma2 for n, sigma2 in batches)


@formula("2.4")
def of_union(weight: Any, tau2: Any, n1: Any, scatter1: Any, n2: Any, scatter2: Any, delta: Any) -> Any:
    """Evidence of two batches whose variance is estimated again from their union."""
    n = n1 + n2
    return weight * tau2 * n * (n - 1) / (scatter1 + scatter2 + delta**2 * n1 * n2 / n)


@formula("2.5")
def additive(x: Any, unit: Any) -> Any:
    """Value at 1 + x of an additive map that is ``unit`` at 2."""
    return x * unit


@formula("2.6")
def fixed_prior(evidence: Any, factor: Any) -> Any:
    """Evidence against a fixed prior after the loss is multiplied by ``factor``."""
    return evidence / factor**2


@formula("2.7")
def uncertainty(weight: Any, evidence: Any) -> Any:
    """Uncertainty of the opinion."""
    return weight / (weight + evidence)


@formula("2.8")
def belief(weight: Any, evidence: Any) -> Any:
    """Total belief of the opinion."""
    return evidence / (weight + evidence)


@formula("2.9")
def posterior_mean(u: Any, m: Any, b: Any, mean: Any) -> Any:
    """Posterior mean as a mixture of prior mean and batch mean."""
    return u * m + b * mean


@formula("2.10")
def filtered_belief(left: Any, ratio: Any) -> Any:
    """Belief in a filtered gradient, and the weight of the batch, from evidence before and tau^2 / noise."""
    return (left + ratio) / (1 + left + ratio), ratio / (1 + left + ratio)


@formula("2.11")
def unknown_variance(noise_mean: Any, pooled: Any, kappa0: Any, n: Any) -> Any:
    """Uncertainty where the variance is unknown and the Student-t is matched by a Gaussian."""
    return min(noise_mean / pooled * kappa0 / (kappa0 + n), 1)


@formula("2.12")
def in_a_block(weight: Any, evidence: Any) -> Any:
    """Beliefs in the dimensions of one frame."""
    return [e / (weight + sum(evidence)) for e in evidence]


@formula("2.13")
def best_factor(g: Any, noise: Any) -> Any:
    """Factor that minimises the mean squared error for a fixed true gradient."""
    return g**2 / (g**2 + noise)


@formula("2.14")
def risk(factor: Any, tau2: Any, noise: Any) -> Any:
    """Mean squared error of factor * batch gradient over prior and noise."""
    return (1 - factor) ** 2 * tau2 + factor**2 * noise


@formula("2.15")
def from_snr(weight: Any, n: Any, snr: Any) -> Any:
    """Evidence from the gradient signal-to-noise ratio of one sample."""
    return weight * n * snr


@formula("2.16")
def trapped(tau2: Any, noise: Any) -> Any:
    """Belief when the noise is left in the prior scale."""
    return (tau2 + noise) / (tau2 + 2 * noise)


@formula("2.17")
def relative(precisions: Any) -> Any:
    """Relative precision of each dimension."""
    return [p * len(precisions) / sum(precisions) for p in precisions]


@formula("2.18")
def logarithmic(x: float) -> float:
    """Log precision as a function of x = N tau^2 / sigma^2."""
    return log(2 + x)


@formula("2.18")
def log_excess(x: float, y: float) -> float:
    """Evidence of two batches one by one less that of both at once."""
    return log((2 + x) * (2 + y) / (2 + x + y))


@formula("2.19")
def mean_snr(tau2: Any, noise: Any) -> Any:
    """Signal-to-noise evidence averaged over prior and noise."""
    return tau2 / noise


@formula("2.20")
def snr_at(g: Any, kept: Any, noise: Any) -> Any:
    """Signal-to-noise evidence averaged over the noise at a fixed true gradient."""
    return kept * (g**2 + noise) / noise


@formula("2.21")
def identity_uncertainty(weight: Any, v: Any, factor: Any) -> Any:
    """Uncertainty when the precision itself is the evidence and the loss is multiplied by ``factor``."""
    return weight * factor**2 * v / (weight * factor**2 * v + 1)
