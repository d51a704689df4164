"""The right-hand sides of chapter 5, one plain function an equation; 05_update.py checks them."""

from collections.abc import Iterator
from typing import Any

from theory.registry import formula


def zipped(*columns: Any) -> Iterator[Any]:
    """Zip sequences of one length."""
    return zip(*columns, strict=True)


@formula("5.1")
def update(kappa, weights, means):
    """Calibrated update in one dimension."""
    return kappa * sum(w * mean for w, mean in zipped(weights, means))


@formula("5.2")
def relative_belief(beliefs):
    """Weights in proportion to belief."""
    return [b / sum(beliefs) for b in beliefs]


@formula("5.3")
def fused_certainty(sources, uncertainty):
    """Default conservatism."""
    return sources * (1 - uncertainty)


@formula("5.4")
def coefficients(kappa, beliefs):
    """What each batch mean is multiplied by."""
    return [kappa * b**2 / sum(beliefs) for b in beliefs]


@formula("5.5")
def conservatism_bounds(beliefs):
    """Least and largest kappa over all opinions with these beliefs."""
    unknown = 1
    for b in beliefs:
        unknown = unknown * (1 - b)
    return len(beliefs) * max(beliefs), len(beliefs) * (1 - unknown)


@formula("5.6")
def opposed_conservatism(b1, b2):
    """Kappa of two sources that believe in opposite signs."""
    return 2 * (b1 + b2 - 2 * b1 * b2) / (1 - b1 * b2)


@formula("5.7")
def one_source(b, mean):
    """Update of a single source."""
    return b**2 * mean


@formula("5.8")
def two_sources(b1, b2, conflict, mean1, mean2):
    """Update of two sources."""
    kappa = 2 * (1 - (1 - b1) * (1 - b2) / (1 - conflict))
    return kappa * (b1**2 * mean1 + b2**2 * mean2) / (b1 + b2)


@formula("5.9")
def equal_coefficient(b, sources):
    """Common coefficient of equally certain sources without conflict."""
    return (1 - (1 - b) ** sources) * b


@formula("5.10")
def coefficient_bounds(b, sources):
    """Least and largest coefficient of a source of belief b."""
    return b**2, sources * b**2


@formula("5.11")
def certain_bounds(slack, sources):
    """Least and largest coefficient when no uncertainty exceeds ``slack``."""
    return (1 - slack) ** 2, sources / (sources - (sources - 1) * slack)


@formula("5.12")
def vacuous_stretch(sources):
    """Factor by which one more, vacuous, source lengthens the update of M sources."""
    return (sources + 1) / sources


@formula("5.13")
def certain_dimensions(beliefs, means):
    """Update at u = 0 in the frame of dimensions."""
    return len(beliefs) * sum(b * mean for b, mean in zipped(beliefs, means)) / sum(beliefs)


@formula("5.14")
def rescaled_update(weights, scales, means):
    """Update once loss m is multiplied by a positive factor s_m; c of before."""
    return sum(c * s * mean for c, s, mean in zipped(weights, scales, means))


@formula("5.15")
def rescaled_precision_weights(precisions, scales):
    """Inverse-variance weights once loss m is multiplied by s_m."""
    values = [precision / s**2 for precision, s in zipped(precisions, scales)]
    return [value / sum(values) for value in values]


@formula("5.16")
def shrinkage_risk(c, prior, noise):
    """Mean squared error of c times the batch mean."""
    return (1 - c) ** 2 * prior + c**2 * noise


@formula("5.17")
def price_of_twice(b):
    """Risk at b^2 over risk at b."""
    return 1 + b * (1 - b)


@formula("5.18")
def excess_risk(coefficients, beliefs, priors):
    """Risk of coefficients c beyond that of the posterior means."""
    terms = zipped(coefficients, beliefs, priors)
    return sum(prior * (c - b) ** 2 / b for c, b, prior in terms)


@formula("5.19")
def expected_alignment(coefficients, gradients):
    """Inner product of the total gradient and the expected update; rows are sources."""
    columns = zipped(zipped(*coefficients), zipped(*gradients))
    return sum(sum(c * g for c, g in zipped(cs, gs)) * sum(gs) for cs, gs in columns)


@formula("5.20")
def worst_alignment(low, high, gradients):
    """Least inner product over all coefficients in [low, high]; rows are sources."""
    total = 0
    for column in zipped(*gradients):
        ahead, back = sum(max(g, 0) for g in column), sum(max(-g, 0) for g in column)
        total = total + abs(ahead - back) * (low * max(ahead, back) - high * min(ahead, back))
    return total


@formula("5.21")
def goes_uphill(b1, b2, g1, g2):
    """Whether the expected update opposes the total gradient, for g1 > -g2 > 0."""
    return (b2 / b1) ** 2 > -g1 / g2


@formula("5.22")
def determinant(first, second, a1, a2):
    """Determinant of the linear map from x to the expected update of two losses (x1 + a x2)^2 / 2."""
    (c11, c12), (c21, c22) = first, second
    return (a1 - a2) * (c21 * c12 * a1 - c11 * c22 * a2)


@formula("5.23")
def shrinkage_covariance(g, s):
    """Cov(b, batch mean) when b is estimated from that same two-point batch mean g +- s."""
    return 2 * g * s**4 / (g**2 - s**2) ** 2


@formula("5.24")
def drift_at_rest(p, a, floor):
    """Expected update where the gradient is zero; the batch mean is a with probability p."""
    return p * a * ((1 - 2 * p) / (1 - p) - floor / (1 + floor))


@formula("5.25")
def cross_fitted(c_first, mean_first, c_second, mean_second):
    """Each half of the batch weighted by coefficients from the other."""
    return (c_second * mean_first + c_first * mean_second) / 2


@formula("5.26")
def own_draw_slope(belief, moved, noise, count, prior_count):
    """Derivative of a belief by the draw itself; ``moved`` is level times today's difference."""
    return -belief * (1 - belief) * moved / (2 * noise * (count + prior_count))


@formula("5.27")
def alignment(low, high, dissimilarity):
    """Alpha: what is certain of the descent."""
    return (high + low) / 2 - dissimilarity * (high - low) / 2


@formula("5.28")
def step_bound(value, rate, alpha, square, smoothness, moment):
    """Expected loss after one step; ``square`` is the squared gradient, ``moment`` is S^2."""
    return value - rate * alpha * square + smoothness * rate**2 * moment / 2


@formula("5.29")
def average_bound(gap, rate, alpha, steps, smoothness, moment):
    """Bound on the mean over steps of the expected squared gradient."""
    return gap / (alpha * rate * steps) + smoothness * rate * moment / (2 * alpha)


@formula("5.30")
def rate_bound(gap, alpha, steps, smoothness, moment):
    """The same at the best constant rate; the square of the bound, so that it stays rational."""
    return 2 * smoothness * gap * moment / (alpha**2 * steps)


@formula("5.31")
def update_variance(coefficients, covariance):
    """Variance of the update in one dimension."""
    lines = list(zipped(coefficients, covariance))
    return sum(c * e * value for c, line in lines for e, value in zipped(coefficients, line))


@formula("5.32")
def fused_variance(precisions):
    """Least variance of an unbiased combination of independent estimates of one gradient."""
    return 1 / sum(precisions)


@formula("5.33")
def total_risk(coefficients, gradients, noises):
    """Mean squared error of the update as an estimate of the total gradient."""
    bias = sum((c - 1) * g for c, g in zipped(coefficients, gradients))
    return bias**2 + sum(c**2 * n for c, n in zipped(coefficients, noises))


@formula("5.34")
def fusion_wins(g1, g2, n1, n2):
    """Whether twice the inverse-variance mean has less risk than the plain sum."""
    return (g1 - g2) ** 2 < n1 + n2


@formula("5.35")
def agreement(b1, lean1, b2, lean2):
    """Kappa of FusedAgreement for two sources; lean = b+ - b-."""
    return 2 * abs(lean1 * (2 - b2) + lean2 * (2 - b1)) / (2 - b1 * b2 + lean1 * lean2)


@formula("5.36")
def opposed_agreement(e1, e2, prior_weight):
    """Kappa of FusedAgreement for evidence e1 on one sign against e2 on the other."""
    return 2 * abs(e1 - e2) / (prior_weight + e1 + e2)


@formula("5.37")
def match_square(direction, plain):
    """Square of the factor of MatchPlainSum; lists over all dimensions of all blocks."""
    return sum(p**2 for p in plain) / sum(d**2 for d in direction)


@formula("5.38")
def matched_limit(ratios, means, length):
    """Norm-matched update of one source whose beliefs all vanish in proportion to ``ratios``."""
    direction = [ratio**2 * mean for ratio, mean in zipped(ratios, means)]
    return [length * d / sum(e**2 for e in direction) ** 0.5 for d in direction]


@formula("5.39")
def coefficients_once(kappa, beliefs):
    """What each batch mean is multiplied by, when batch means are aggregated."""
    return [kappa * b / sum(beliefs) for b in beliefs]


@formula("5.40")
def equal_sources_once(b, sources):
    """Coefficient of sources of one belief without conflict."""
    return 1 - (1 - b) ** sources


@formula("5.41")
def bounds_once(b, sources):
    """Least and largest coefficient of a source."""
    return b, sources * b
