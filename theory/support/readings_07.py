"""Readings of the displays of chapter 7."""

from itertools import product
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import chi2

from theory.registry import reads
from theory.support.outcomes import ones
from theory.support.posterior_oracles import Formulas
from theory.values import Average, Of

f = Formulas("07_laplace.py")


@reads("7.1")
def _(d: Any) -> dict[str, Any]:
    scores, damping = d.real(4, 2), d.positive()
    curvatures = [f.fisher(column) for column in scores.T]
    variances = [f.parameter_variance(x, damping) for x in curvatures]
    ranges = {"i": ones(4), "p": ones(2), "N": 4}
    return {r"\nu": variances, "F": curvatures, r"\delta": damping, "s": scores, **ranges}


@reads("7.2")
def _(d: Any) -> dict[str, Any]:
    curvature, damping = [(d.positive(), 0.0), (0.0, d.positive()), (d.positive(), d.positive())][d.index]
    n = d.count()
    ratio = f.narrowing(n, curvature, damping)
    given = {"N": n, "F": curvature, r"\delta": damping, r"\frac{F+\delta}{NF+\delta}": ratio}
    return {**given, "sharp": [[0], [1], []][d.index]}


@reads("7.3")
def _(d: Any) -> dict[str, Any]:
    curvatures, damping = d.positive(3, 2), d.positive()
    alone = [[f.parameter_variance(x, damping) for x in row] for row in curvatures]
    shared = {p: f.shared_variance(column, damping) for p, column in enumerate(curvatures.T, start=1)}
    table = {m: dict(enumerate(row, start=1)) for m, row in enumerate(alone, start=1)}
    ranges = {"m": ones(3), "p": ones(2), "M": 3}
    names = {r"\nu_{mp}": Of("m p", lambda m, p: table[m][p]), r"\nu_p": Of("p", shared.__getitem__)}
    return {**names, "F": curvatures, r"\delta": damping, **ranges}


@reads("7.4")
def _(d: Any) -> dict[str, Any]:
    slopes, variances, g = d.real(2, 3), d.positive(3), d.real(2)
    outcomes = [{r"\xi": np.array(s) * np.sqrt(variances)} for s in product((-1, 1), repeat=3)]
    v = [f.pushed_variance(row, variances) for row in slopes]
    ranges = {"d": ones(2), "p": ones(3)}
    return {r"\mathbb E": Average(outcomes), "g": g, "B": slopes, r"\nu": variances, "v": v, **ranges}


@reads("7.5")
def _(d: Any) -> dict[str, Any]:
    value, first, second, variances = d.real(), d.real(2), d.real(2, 2), 0.1 * d.positive(2)
    second = second + second.T
    a, b, c, e = d.real(4)
    third = np.array([[[a, b], [b, c]], [[b, c], [c, e]]])
    x, weights = np.polynomial.hermite_e.hermegauss(6)  # exact for polynomials of degree 11
    points = np.array(list(product(x, repeat=2))) * np.sqrt(variances)
    weights = np.array([p * q for p, q in product(weights, repeat=2)]) / (2 * np.pi)
    values = value + points @ first + np.einsum("np,pq,nq->n", points, second, points) / 2
    values += np.einsum("np,nq,nr,pqr->n", points, points, points, third) / 6
    values += d.positive() * points[:, 0] ** 4 / 24  # whose mean is of second order
    mean = weights @ values
    spread = weights @ (values - mean) ** 2
    rest = mean - value - f.delta_mean_error(second, variances)
    more = spread - first**2 @ variances - f.delta_variance_error(first, second, third, variances)
    found = {r"\mathbb E[\gamma(\phi)]": mean, r"\mathrm{Var}(\gamma(\phi))": spread}
    slopes = {r"\gamma": value, r"\gamma'": first, r"\gamma''": second, r"\gamma'''": third}
    powers = {r"\gamma_p'^2": Of("p", lambda p: first[p - 1] ** 2)}
    powers |= {r"\gamma_{pq}''^2": Of("p q", lambda p, q: second[p - 1, q - 1] ** 2)}
    rests = {r"O(\nu^2)": rest, r"O(\nu^3)": more}
    return {**found, **slopes, **powers, **rests, r"\nu": variances, "p": ones(2), "q": ones(2)}


@reads("7.6")
def _(d: Any) -> dict[str, Any]:
    values, means, squares = d.real(5), {0: 0.0}, {0: 0.0}
    for count, value in enumerate(values, start=1):
        means[count], squares[count] = f.one_more(means[count - 1], squares[count - 1], value, count)
    found = {"m": means, "Q": squares, r"\hat v": values.var(ddof=1)}
    return {**found, "g": values, "s": ones(5), "S": 5}


@reads("7.7")
def _(d: Any) -> dict[str, Any]:
    p = (1 - sqrt(1 / 3)) / 2 if d.index == 0 else d.share()  # the first has the Gaussian's fourth moment
    size, law = d.count(3, 5), ((p, d.positive()), (1 - p, -d.positive()))
    centre = sum(q * x for q, x in law)
    v, fourth = (sum(q * (x - centre) ** k for q, x in law) for k in (2, 4))
    samples = list(product(law, repeat=size))
    chances = [np.prod([q for q, _ in sample]) for sample in samples]
    values = np.array([[x for _, x in sample] for sample in samples])
    found = [np.cov(part, aweights=chances, bias=True) for part in (values.mean(1), values.var(1, ddof=1))]
    names = {r"\mathrm{Var}(m_S)": found[0], r"\mathrm{Var}(\hat v)": found[1], r"\mu_4": fourth}
    return {**names, "v": v, "S": size}


@reads("7.8")
def _(d: Any) -> dict[str, Any]:
    size, s, v = d.count(5, 9), d.share(), d.positive()
    mean = chi2(size - 1).expect(lambda x: (v * x / (size - 1)) ** -s)
    stated = f.mean_evidence(v, s, size)
    return {
        r"\mathbb E[\hat v^{-s}]": mean if abs(mean / stated - 1) < 1e-7 else np.nan,
        "v": v,
        "s": s,
        "S": size,
    }


@reads("7.9")
def _(d: Any) -> dict[str, Any]:
    slopes, curvatures, damping, c = d.real(2, 3), d.positive(3), d.positive(), d.positive()
    at = {n: [f.scaled_variance(n, row, curvatures, damping) for row in slopes] for n in (c, 1e8)}
    limit = {r"\lim_{c\to\infty}v_d": Of("d", lambda i: at[1e8][i - 1])}
    ranges = {"d": ones(2), "p": ones(3)}
    return {"v": at[c], **limit, "B": slopes, "F": curvatures, r"\delta": damping, "c": c, **ranges}


def layer(d: Any, size: int = 3) -> dict[str, Any]:
    """Evidence on the dimensions of a layer, and its opinion."""
    evidence = d.positive(size)
    beliefs, u = f.framed(evidence)
    return {"e": evidence, "b": beliefs, "u": u, "D": size, "d": ones(size), "E": float(evidence.sum())}


@reads("7.10")
def _(d: Any) -> dict[str, Any]:
    names = layer(d)
    return {**names, r"\alpha": names["e"] + 1}


@reads("7.11")
def _(d: Any) -> dict[str, Any]:
    names, weight = layer(d, d.count()), d.positive()
    return {**names, "W": weight, "u_W": f.with_fixed_weight(names["e"], weight), "u": f.by_mean(names["e"])}


@reads("7.12")
def _(d: Any) -> dict[str, Any]:
    one, two = layer(d), layer(d)
    together = f.fused(one["e"], two["e"])
    primed = {"e'": two["e"], "b'": two["b"], "u'": two["u"]}
    found = {r"e^\oplus": together, r"u^\oplus": f.framed(together)[1], "C": f.conflict(one["e"], two["e"])}
    return {**one, **primed, **found}


@reads("7.13")
def _(d: Any) -> dict[str, Any]:
    evidence = d.positive(2, 3)
    ranges = {"m": ones(2), "l": ones(2), "d": ones(3)}
    return {"e": evidence, "w": f.dimension_weights(evidence), **ranges}


@reads("7.14")
def _(d: Any) -> dict[str, Any]:
    u, mix = [np.array([1.0, 0.4, 1.0]), np.array([1.0, d.share(), 1.0]), d.share(3)][d.index], d.share()
    if d.index < 2:
        only = {"m": [1, 2][d.index]}  # who knows nothing, and who knows all that is known
        return {
            "w": f.mixed_weights(u, mix),
            "u": u,
            r"\eta": mix,
            "M": 3,
            "l": ones(3),
            **only,
            "sharp": [d.index],
        }
    return {"w": f.mixed_weights(u, mix), "u": u, r"\eta": mix, "M": 3, "l": ones(3), "m": ones(3)}


@reads("7.15")
def _(d: Any) -> dict[str, Any]:
    weights, gradients, kappa = d.share(2, 3), d.real(2, 3), d.positive()
    h = (weights * gradients).sum(0)
    plain = gradients.sum(0)
    scale = float(np.linalg.norm(plain) / np.linalg.norm(kappa * h))  # 0.7
    update = f.matched(weights.tolist(), gradients.tolist())
    names = {r"\hat g": update, r"\lambda": scale, r"\kappa": kappa, "h": h, "w": weights, "g": gradients}
    return {**names, r"g_{\mathrm{plain}}": plain, "m": ones(2), "d": ones(3)}
