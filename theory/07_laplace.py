"""Formulas of chapter 7, the reading laplace. Their checks are in support/drawn_checks.py."""

from typing import Any

from scipy.special import gamma

from theory.registry import formula
from theory.support import drawn_checks
from theory.support.exact import checks_in, zipped

globals().update(checks_in(drawn_checks))


@formula("7.1")
def fisher(scores: Any) -> Any:
    """Mean squared score of one parameter."""
    return sum(s**2 for s in scores) / len(scores)


@formula("7.1")
def parameter_variance(curvature: Any, damping: Any) -> Any:
    """Variance of one parameter."""
    return 1 / (curvature + damping)


@formula("7.2")
def narrowing(n: Any, curvature: Any, damping: Any) -> Any:
    """Variance after n samples over that of 7.1."""
    return (curvature + damping) / (n * curvature + damping)


@formula("7.3")
def shared_variance(curvatures: Any, damping: Any) -> Any:
    """Variance of a parameter of a last layer that several sources have."""
    return 1 / (damping + sum(curvatures))


@formula("7.4")
def pushed_variance(slopes: Any, variances: Any) -> Any:
    """Variance of a gradient that is linear in the parameters drawn, by their variances."""
    return sum(b**2 * v for b, v in zipped(slopes, variances))


@formula("7.5")
def delta_mean_error(second: Any, variances: Any) -> Any:
    """Leading error of the delta method's mean."""
    return sum(second[p][p] * v for p, v in enumerate(variances)) / 2


@formula("7.5")
def delta_variance_error(first: Any, second: Any, third: Any, variances: Any) -> Any:
    """Leading error of its variance; derivatives as nested lists."""
    terms = [(p, q, v * w) for p, v in enumerate(variances) for q, w in enumerate(variances)]
    return sum((second[p][q] ** 2 / 2 + first[p] * third[p][q][q]) * vw for p, q, vw in terms)


@formula("7.6")
def one_more(mean: Any, squares: Any, value: Any, count: Any) -> Any:
    """Mean and sum of squared deviations once the ``count``-th value is taken in."""
    gap = value - mean
    return mean + gap / count, squares + gap**2 * (count - 1) / count


@formula("7.6")
def drawn_variance(squares: Any, draws: Any) -> Any:
    """Variance over draws."""
    return squares / (draws - 1)


@formula("7.7")
def errors(v: Any, fourth: Any, draws: Any) -> Any:
    """Variance of the mean and of the variance over draws."""
    return v / draws, (fourth - v**2 * (draws - 3) / (draws - 1)) / draws


@formula("7.8")
def mean_evidence(v: Any, s: Any, draws: Any) -> Any:
    """Mean of the power evidence of a Gaussian gradient."""
    half = (draws - 1) / 2
    return half**s * gamma(half - s) / gamma(half) / v**s


@formula("7.9")
def scaled_variance(c: Any, slopes: Any, curvatures: Any, damping: Any) -> Any:
    """Variance of a gradient of losses times c."""
    return sum((c * b) ** 2 / (c**2 * x + damping) for b, x in zipped(slopes, curvatures))


@formula("7.9")
def saturated_variance(slopes: Any, curvatures: Any) -> Any:
    """The same for large c."""
    return sum(b**2 / x for b, x in zipped(slopes, curvatures))


@formula("7.10")
def framed(evidence: Any) -> Any:
    """Beliefs and uncertainty on the frame of dimensions."""
    strength = sum(evidence) + len(evidence)
    return [e / strength for e in evidence], len(evidence) / strength


@formula("7.11")
def by_mean(evidence: Any) -> Any:
    """Uncertainty by the mean evidence."""
    return 1 / (1 + sum(evidence) / len(evidence))


@formula("7.11")
def with_fixed_weight(evidence: Any, weight: Any) -> Any:
    """Uncertainty for a W that does not grow with the dimensions."""
    return weight / (weight + sum(evidence))


@formula("7.12")
def fused(first: Any, second: Any) -> Any:
    """Evidence that two sources have together."""
    return [e + f + e * f / len(first) for e, f in zipped(first, second)]


@formula("7.12")
def conflict(first: Any, second: Any) -> Any:
    """Mass of the empty set."""
    (b, u), (c, v) = framed(first), framed(second)
    return (1 - u) * (1 - v) - sum(x * y for x, y in zipped(b, c))


@formula("7.13")
def dimension_weights(evidences: Any) -> Any:
    """Weights [M][D] from the evidence of all sources."""
    shares = [[e / (1 + sum(row) / len(row)) for e in row] for row in evidences]
    return [[x / total for x, total in zipped(row, map(sum, zipped(*shares)))] for row in shares]


@formula("7.14")
def mixed_weights(uncertainties: Any, mix: Any) -> Any:
    """One weight a source."""
    certain = [1 - u for u in uncertainties]
    return [(1 - mix) / len(certain) + mix * c / sum(certain) for c in certain]


@formula("7.15")
def matched(weights: Any, gradients: Any) -> Any:
    """Update of a layer at the length of its plain sum."""
    plain = [sum(column) for column in zipped(*gradients)]
    h = [
        sum(w * g for w, g in zipped(own, column))
        for own, column in zipped(zipped(*weights), zipped(*gradients))
    ]
    factor = (sum(x**2 for x in plain) / sum(x**2 for x in h)) ** 0.5
    return [factor * x for x in h]
