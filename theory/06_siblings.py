"""Chapter 6: right-hand sides of its equations; their checks are in support/siblings/, by group."""

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from theory.registry import checks_of, formula
from theory.support.elementary import bernoulli, dot, exp, fills, log, norm, sigmoid, states, tanh, together
from theory.support.siblings import balancers, experts, machine, modulation, pareto, released, smoothmax

Vector = Sequence[Any]
for part in (modulation, smoothmax, pareto, experts, machine, balancers, released):
    globals().update({check.name: check for check in checks_of(part)})


@formula("6.1")
def score_ratio(own: Vector, other: Vector) -> Any:
    """Scores of one modality over those of the other, summed over the batch."""
    return sum(own) / sum(other)


@formula("6.2")
def excess_of_mean_ratios(r: Vector) -> Any:
    """Product of the two means of ratios, minus 1."""
    return sum((x - y) ** 2 / (x * y) for i, x in enumerate(r) for y in r[:i]) / len(r) ** 2


@formula("6.3")
def ratio_to_rest(m: int, scores: Vector) -> Any:
    """Score of modality m over the mean of the others."""
    return (len(scores) - 1) * scores[m] / (sum(scores) - scores[m])


@formula("6.4")
def coefficient(rho: Any, alpha: Any) -> Any:
    """OGM's factor on the gradient of an encoder."""
    return 1 - tanh(alpha * rho) if rho > 1 else 1


@formula("6.5")
def jump(alpha: Any) -> Any:
    """Fall of the coefficient as rho passes 1."""
    return (exp(2 * alpha) - 1) / (exp(2 * alpha) + 1)


@formula("6.6")
def balance(m: int, gains: Vector) -> Any:
    """CGGM's B_m."""
    return (sum(gains) - gains[m]) / sum(gains)


@formula("6.7")
def nearly_cancelling(delta: Any, eps: Any) -> list[Any]:
    """B for gains delta + eps and -delta."""
    return [-delta / eps, (delta + eps) / eps]


@formula("6.8")
def guarded(m: int, gains: Vector, floor: Any) -> Any:
    """B_m of the positive parts, drawn to equal shares when their sum is near the floor."""
    up = [max(gain, 0) for gain in gains]
    return 1 - (up[m] + floor / len(up)) / (sum(up) + floor)


@formula("6.9")
def direction_loss(balances: Vector, cosines: Vector) -> Any:
    """CGGM's direction loss."""
    return sum(abs(b) - b * c for b, c in together(balances, cosines)) / len(balances)


@formula("6.10", "6.12")
def smooth_max(f: Vector, mu: Any) -> Any:
    """Smoothed maximum with the mean inside the logarithm."""
    return mu * log(sum(exp(value / mu) for value in f) / len(f))


@formula("6.10", "6.12")
def mimo(f0: Any, f: Vector, lam: Any, mu: Any) -> Any:
    """MIMO's objective."""
    return f0 + lam * smooth_max(f, mu)


@formula("6.11")
def lower_bound(f: Vector, mu: Any) -> Any:
    """What the smoothed maximum never falls below."""
    return max(f) - mu * log(len(f))


@formula("6.12")
def mimo_gradient(df0: Any, df: Vector, f: Vector, lam: Any, mu: Any) -> Any:
    """Derivative of MIMO's objective from those of its parts."""
    return df0 + lam * dot([exp(v / mu) for v in f], df) / sum(exp(v / mu) for v in f)


@formula("6.13")
def near_mean(f: Vector, mu: Any) -> Any:
    """Smoothed maximum at large mu, to first order in 1/mu."""
    mean = sum(f) / len(f)
    return mean + sum((v - mean) ** 2 for v in f) / (2 * len(f) * mu)


@formula("6.14")
def near_max(f: list[Any], mu: Any) -> Any:
    """Smoothed maximum at small mu, up to terms that vanish exponentially."""
    return max(f) + mu * log(f.count(max(f)) / len(f))


@formula("6.15")
def curvature(p: Vector, df: Vector, ddf: Vector, mu: Any) -> Any:
    """Second derivative of the smoothed maximum along a line, from its weights p."""
    return dot(p, ddf) + (sum(w * d**2 for w, d in together(p, df)) - dot(p, df) ** 2) / mu


@formula("6.16")
def min_norm_weight(a: Vector, b: Vector) -> Any:
    """Weight gamma of a in the shortest vector between a and b."""
    across = [y - x for x, y in together(a, b)]
    return min(1, max(0, dot(across, b) / dot(across, across)))


@formula("6.17")
def first_order_gaps(a: Vector, b: Vector, weight: Any) -> list[Any]:
    """<d, a> - |d|^2 and <d, b> - |d|^2 for d = weight a + (1 - weight) b."""
    d = [weight * x + (1 - weight) * y for x, y in together(a, b)]
    return [(1 - weight) * (dot(d, a) - dot(d, b)), weight * (dot(d, b) - dot(d, a))]


@formula("6.18")
def released_sum(a: Vector, b: Vector) -> list[Any]:
    """MMPareto's released combination before its length is changed."""
    weight = Fraction(1, 2) if dot(a, b) > 0 else min_norm_weight(a, b)
    return [2 * (weight * x + (1 - weight) * y) for x, y in together(a, b)]


@formula("6.19")
def lengthened(h: Vector, total: Vector) -> list[Any]:
    """One tensor of the combination, at least as long as the sum of gradients, times 3/2."""
    return [Fraction(3, 2) * x * max(1, norm(total) / norm(h)) for x in h]


@formula("6.20")
def first_order_change(a: Vector, b: Vector) -> Any:
    """<g, a> when each coordinate is a tensor of its own."""
    return sum(x * lengthened([h], [x + y])[0] for x, y, h in together(a, b, released_sum(a, b)))


@formula("6.21")
def product_of_experts(prior: Any, posteriors: Vector, selection: Any) -> Any:
    """Unnormalised posterior of a class given all modalities and the selection."""
    return prior ** (1 - len(posteriors)) * selection * prod(posteriors)


@formula("6.22", "6.24")
def log_softmax(y: int, logits: Vector) -> Any:
    """Logarithm of a class's normalised probability."""
    return logits[y] - log(sum(exp(v) for v in logits))


@formula("6.22")
def log_product(y: int, experts: Sequence[Vector]) -> Any:
    """Log-probability of class y under the product of the experts."""
    table = [[log_softmax(k, expert) for k, _ in enumerate(expert)] for expert in experts]
    return log_softmax(y, [sum(column) for column in together(*table)])


@formula("6.23")
def without_second(prior: Any, first: Any, second: Vector, selection: Vector) -> Any:
    """Unnormalised posterior when the second modality is missing: summed over its values."""
    return prior * first * dot(second, selection)


@formula("6.24")
def residual(k: int, y: int, total: Vector) -> Any:
    """Derivative of the product's loss by logit k of any expert."""
    return exp(log_softmax(k, total)) - (1 if k == y else 0)


@formula("6.25")
def latent_quality(inputs: Sequence[Vector], codes: Sequence[Vector]) -> Any:
    """Accuracy lost by seeing a code instead of the input; rows are joint probabilities with y."""
    return sum(max(row) for row in inputs) - sum(max(row) for row in codes)


@formula("6.26")
def gain_of_refining(groups: Sequence[Sequence[Vector]]) -> Any:
    """Latent quality won by splitting each coarse code into a group of finer ones."""
    return sum(sum(map(max, rows)) - max(map(sum, together(*rows))) for rows in groups)


@formula("6.27")
def tied_risk(signal: Any, noise: Any) -> Any:
    """Best risk of c (x1 + x2) for y = x1, by the variances of x1 and x2."""
    return signal * noise / (signal + noise)


@formula("6.28")
def risk_difference(eta: tuple[Any, Any], excess: tuple[Any, Any]) -> Any:
    """Risk of the larger set of modalities minus that of the smaller."""
    (eta_all, eta_some), (excess_all, excess_some) = eta, excess
    return eta_all - eta_some + excess_all - excess_some


@formula("6.29")
def simulation_risk(k: int, w: Any) -> Any:
    """Best mean squared error of the first k of four modalities."""
    return (4 - k) * 100 * (1 - w) ** 2


@formula("6.30")
def inverse_variance_weight(m: int, variances: Vector) -> Any:
    """Weight of source m."""
    return 1 / variances[m] / sum(1 / v for v in variances)


@formula("6.31")
def svag_factor(gradient: Any, variance: Any, n: Any) -> Any:
    """Factor on a mean of n draws that leaves the least mean squared error."""
    return gradient**2 / (gradient**2 + variance / n)


@formula("6.32")
def free_energy(rbm: Any, x: Any, z: Any) -> Any:
    """Free energy of both modalities."""
    return -(x @ rbm.a) - z @ rbm.b - sum(log(1 + exp(rbm.c + x @ rbm.W + z @ rbm.U)))


@formula("6.33")
def min_vi(rbm: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
    """Mean of -log p(x|z) - log p(z|x)."""
    sums = [sum(exp(-free_energy(rbm, *v)) for v in fill) for pair in pairs for fill in fills(*pair)]
    return (sum(2 * free_energy(rbm, x, z) for x, z in pairs) + sum(log(s) for s in sums)) / len(pairs)


@formula("6.34")
def excess_over_vi(P: Any, Q: Any) -> Any:
    """MinVI of the model Q under data P, minus the variation of information of P."""
    (px, pz), (qx, qz) = ((T.sum(1)[:, None], T.sum(0)) for T in (P, Q))
    return np.sum(P * log(P**2 * qx * qz / (px * pz * Q**2)))


@formula("6.35")
def free_gradient(rbm: Any, x: Any, z: Any) -> Any:
    """Derivative of the free energy by W, U, a, b and c, flat, in this order."""
    hidden = sigmoid(rbm.c + x @ rbm.W + z @ rbm.U)
    return np.concatenate([-np.outer(x, hidden).ravel(), -np.outer(z, hidden).ravel(), -x, -z, -hidden])


@formula("6.36")
def min_vi_gradient(rbm: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
    """Derivative of the MinVI objective."""
    total = sum(2 * free_gradient(rbm, x, z) for x, z in pairs)
    for fill in (fill for pair in pairs for fill in fills(*pair)):
        p = [exp(-free_energy(rbm, *v)) for v in fill]
        total = total - dot(p, [free_gradient(rbm, *v) for v in fill]) / sum(p)
    return total / len(pairs)


@formula("6.37")
def transition(rbm: Any, x: Any, new: Any, z: Any) -> Any:
    """Probability that one Gibbs step through h, with z held, leads from x to new."""
    up = sigmoid(rbm.c + x @ rbm.W + z @ rbm.U)
    return sum(bernoulli(h, up) * bernoulli(new, sigmoid(rbm.a + rbm.W @ h)) for h in states(len(up)))


@formula("6.38")
def perceptron_gradient(rbm: Any, x: Any, z: Any, samples: Any) -> Any:
    """Derivative of the perceptron loss with the samples held."""
    best = min(samples, key=lambda s: free_energy(rbm, s, z))
    return free_gradient(rbm, x, z) - free_gradient(rbm, best, z)


@formula("6.39")
def loss_ceiling(perceptron_loss: Any, n: int) -> Any:
    """What -log p(x|z) never exceeds when every one of the 2^n states is a candidate."""
    return perceptron_loss + n * log(2)


@formula("6.40")
def variational_free_energy(rbm: Any, z: Any, q: Any, r: Any) -> Any:
    """Free energy of the factorised q(x) r(h), z held."""
    entropy = -sum(p * log(p) + (1 - p) * log(1 - p) for p in (*q, *r))
    return -(q @ rbm.W @ r) - z @ rbm.U @ r - rbm.a @ q - rbm.b @ z - rbm.c @ r - entropy


@formula("6.41")
def mean_field(rbm: Any, z: Any, q: Any) -> tuple[Any, Any]:
    """One round of the recursion: best r for given q, then best q for that r."""
    r = 1 / (1 + exp(-(rbm.c + q @ rbm.W + z @ rbm.U)))
    return r, 1 / (1 + exp(-(rbm.a + rbm.W @ r)))


@formula("6.42")
def fall(old: Any, new: Any) -> Any:
    """How much one block update lowers the variational free energy."""
    return sum(p * log(p / t) + (1 - p) * log((1 - p) / (1 - t)) for p, t in together(old, new))
