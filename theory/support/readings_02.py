"""Readings of the displays of chapter 2."""

from math import sqrt
from typing import Any

import numpy as np

from theory.registry import reads
from theory.support.expectations import MEAN, VARIANCE
from theory.support.outcomes import average, ones
from theory.support.posterior_oracles import Formulas
from theory.values import Of

f, one = Formulas("02_evidence.py"), Formulas("01_posterior.py")


def source(d: Any) -> dict[str, Any]:
    """Numbers of one source and dimension, with the evidence that they are."""
    weight, n, tau, sigma = d.positive(), d.count(), d.positive(), d.positive()
    precision = one.normal_precision(tau**2, sigma**2, n)
    names = {
        "W": weight,
        "N": n,
        r"\tau": tau,
        r"\sigma": sigma,
        r"\Lambda": precision,
        r"\Lambda_0": tau**-2,
    }
    return {"e": f.pseudo_count(weight, precision, tau**-2), "v": 1 / precision, **names}


def joint(d: Any) -> dict[str, Any]:
    """Outcomes of a centred gradient and of its noise, with tau^2 and noise variance."""
    a, c, mean = d.positive(), d.positive(), float(MEAN)
    law = average(2, lambda x: {"g": a * (x[0] - mean), r"\bar g": a * (x[0] - mean) + c * (x[1] - mean)})
    scales = {r"\tau": a * sqrt(VARIANCE), r"\varsigma": c**2 * float(VARIANCE)}
    return {r"\mathbb E": law, "g": 0, r"\bar g": 0, **scales}


@reads("2.1")
def _(d: Any) -> dict[str, Any]:
    return source(d)


@reads("2.2")
def _(d: Any) -> dict[str, Any]:
    names = source(d)
    names["W"] *= 0.02  # so that a sample adds less than 1
    by_count = [f.counted(names["W"], n, names[r"\tau"] ** 2, names[r"\sigma"] ** 2) for n in (0, 4, 5)]
    return {**names, **dict(zip((r"e\big|_{N=0}", r"e\big|_N", r"e\big|_{N+1}"), by_count, strict=True))}


@reads("2.3")
def _(d: Any) -> dict[str, Any]:
    names, sizes, sigma = source(d), [d.count() for _ in range(3)], d.positive(3)
    tau2, precision = names[r"\tau"] ** 2, names[r"\Lambda_0"]
    single = [f.counted(names["W"], n, tau2, s**2) for n, s in zip(sizes, sigma, strict=True)]
    for n, s in zip(sizes, sigma, strict=True):  # one posterior is the next one's prior
        precision = one.normal_precision(1 / precision, s**2, n)
    total = f.pseudo_count(names["W"], precision, names[r"\Lambda_0"])
    parts = {r"e(1,\dots,J)": total, "e(j)": Of("j", lambda j: single[j - 1])}
    return {**parts, "J": 3, "n": sizes, "W": names["W"], r"\sigma": sigma, r"\tau": names[r"\tau"]}


@reads("2.4")
def _(d: Any) -> dict[str, Any]:
    weight, tau, n1, n2 = d.positive(), d.positive(), d.count(), d.count()
    r1, r2, mean1, mean2 = d.positive(), d.positive(), d.real(), d.real()
    n, _, scatter = one.merged(n1, mean1, r1, n2, mean2, r2)
    parts = {"R_1": r1, "R_2": r2, r"\delta": mean2 - mean1, "n": n, "n_1": n1, "n_2": n2}
    single = {f"e({j})": f.counted(weight, m, tau**2, r / (m - 1)) for j, m, r in ((1, n1, r1), (2, n2, r2))}
    union = {r"e(1\cup2)": f.counted(weight, n, tau**2, scatter / (n - 1)), r"\cup": 0}
    return {"W": weight, r"\tau": tau, **parts, **single, **union}


@reads("2.5")
def _(d: Any) -> dict[str, Any]:
    weight = d.positive()
    return {"f": lambda ratio: f.pseudo_count(weight, ratio, 1), "x": d.positive()}


@reads("2.6")
def _(d: Any) -> dict[str, Any]:
    weight, n, tau2, sigma, c = d.positive(), d.count(), d.positive(), d.positive(), d.positive()
    before, after = (f.counted(weight, n, tau2, (s * sigma) ** 2) for s in (1, c))
    return {r"e_{\text{fixed prior}}(c\ell)": after, r"e_{\text{fixed prior}}(\ell)": before, "c": c}


@reads("2.7")
def _(d: Any) -> dict[str, Any]:
    names = source(d)
    return {**names, "u": f.uncertainty(names["W"], names["e"])}


@reads("2.8")
def _(d: Any) -> dict[str, Any]:
    names = source(d)
    return {**names, "b": f.belief(names["W"], names["e"])}


@reads("2.9")
def _(d: Any) -> dict[str, Any]:
    names, m, mean = source(d), d.real() if d.index else 0.0, d.real()
    mu, _ = one.shrunk(m, names[r"\tau"] ** 2, mean, names[r"\sigma"] ** 2 / names["N"])
    b, u = f.belief(names["W"], names["e"]), f.uncertainty(names["W"], names["e"])
    return {"m": m, r"\bar g": mean, r"\mu": mu, "b": b, "u": u}


@reads("2.10")
def _(d: Any) -> dict[str, Any]:
    left, ratio = d.positive() if d.index else 0.0, d.positive()
    return {
        "sharp": [] if d.index else [0],
        "F": left,
        "r": ratio,
        **dict(zip("bK", f.filtered_belief(left, ratio), strict=True)),
    }


@reads("2.11")
def _(d: Any) -> dict[str, Any]:
    kappa0, n, a, b, pooled = d.positive(), d.count(), 1 + d.positive(), d.positive(), d.positive()
    b = 99 * b if d.index == 1 else b  # noisy enough to have no evidence
    names = {"b'": b, "a": a, r"\bar s": sqrt(pooled), r"\kappa_0": kappa0, "N": n}
    matched, prior = one.marginal_variance(kappa0 + n, a, b), pooled / kappa0
    return {"u": min(matched / prior, 1.0), **names}


@reads("2.12")
def _(d: Any) -> dict[str, Any]:
    weight, evidence = d.positive(), d.positive(4) * (1 if d.index else np.eye(4)[2])
    names = {"W": weight, "e": evidence, "d": ones(4), "j": ones(4), "sharp": [] if d.index else [0]}
    return {"b": f.in_a_block(weight, evidence), **names}


@reads("2.13")
def _(d: Any) -> dict[str, Any]:
    g, noise = d.real(), d.positive()
    return {r"\gamma^\ast": f.best_factor(g, noise), "g": g, r"\varsigma": noise}


@reads("2.14")
def _(d: Any) -> dict[str, Any]:
    return {**joint(d), r"\gamma": d.real()}


@reads("2.15")
def _(d: Any) -> dict[str, Any]:
    weight, n, g, sigma = d.positive(), d.count(), d.real(), d.positive()
    return {"e": f.counted(weight, n, g**2, sigma**2), "W": weight, "N": n, r"\mathrm{GSNR}": g**2 / sigma**2}


@reads("2.16")
def _(d: Any) -> dict[str, Any]:
    tau, noise = d.positive() if d.index else 0.0, d.positive()
    found = f.belief(1, f.counted(1, 1, tau**2 + noise, noise))
    return {"sharp": [] if d.index else [0], r"b_{\text{trap}}": found, r"\tau": tau, r"\varsigma": noise}


@reads("2.17")
def _(d: Any) -> dict[str, Any]:
    precisions = d.positive(4)
    return {"e": f.relative(precisions), r"\Lambda": precisions, "D": 4, "d": ones(4), "j": ones(4)}


@reads("2.18")
def _(d: Any) -> dict[str, Any]:
    x, y = (d.positive(), d.positive()) if d.index else (0.0, 0.0)
    evidence = {"e": lambda x: np.log(1 + one.normal_precision(1, 1, x))}
    return {"x": x, "y": y, "sharp": [] if d.index else [0], **evidence}


@reads("2.19")
def _(d: Any) -> dict[str, Any]:
    names, n = joint(d), d.count()
    tau, noise = names[r"\tau"], names[r"\varsigma"]
    mu, v = one.shrunk(0, tau**2, 1, noise)  # of a batch gradient of 1
    law = names[r"\mathbb E"]
    for outcome in law.outcomes:
        outcome[r"\mu"] = mu * outcome[r"\bar g"]
    found = {r"\Lambda": 1 / v, "b": f.belief(1, f.mean_snr(tau**2, noise)), r"\sigma": sqrt(n * noise)}
    return {**names, **found, r"\mu": 0, "N": n}


@reads("2.20")
def _(d: Any) -> dict[str, Any]:
    g, tau, c, mean = d.real(), d.positive(), d.positive(), float(MEAN)
    noise = c**2 * float(VARIANCE)
    kept, v = one.shrunk(0, tau**2, 1, noise)
    law = average(1, lambda x: {"x": (kept * (g + c * (x[0] - mean))) ** 2 / v})
    exact = law(lambda env: env["x"], {})
    return {r"\mathbb E\big[\mu^2\Lambda\mid g\big]": exact, "b": kept, "g": g, r"\varsigma": noise}


@reads("2.21")
def _(d: Any) -> dict[str, Any]:
    weight, v, c = d.positive(), d.positive(), d.positive()
    u = f.identity_uncertainty(weight, v, c)
    return {"u": u, "W": weight, "v": v, r"\Lambda": 1 / v, "c": c}
