"""Readings of the displays of chapter 6."""

from math import e, log
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from theory.registry import reads
from theory.support import readings_machine  # noqa: F401 - registers the rest of the chapter's readings
from theory.support.elementary import six as f
from theory.support.outcomes import ones
from theory.values import Each, Of


def modalities(d: Any) -> dict[str, Any]:
    """Ranges over three modalities."""
    return {"M": 3, "m": ones(3), "j": ones(3)}


@reads("6.1")
def _(d: Any) -> dict[str, Any]:
    scores = d.share(2, 4)
    names = {"s^u": scores[0], "s^v": scores[1], "i": ones(4)}
    return {r"\rho_u": f.score_ratio(*scores), **names}


@reads("6.2")
def _(d: Any) -> dict[str, Any]:
    ratios = d.positive(4) if d.index else np.full(4, d.positive())
    return {"r": ratios, "N": 4, "i": ones(4), "j": ones(4), "sharp": [] if d.index else [0]}


@reads("6.3")
def _(d: Any) -> dict[str, Any]:
    scores = d.positive(3)
    return {**modalities(d), "S": scores, r"\rho": [f.ratio_to_rest(m, scores) for m in range(3)]}


@reads("6.4", draws=4)
def _(d: Any) -> dict[str, Any]:
    alpha, rho = d.positive(), (0.3, 1.2, 0.8, 1.9)[d.index]
    return {"k_u": f.coefficient(rho, alpha), r"\alpha": alpha, r"\rho_u": rho}


@reads("6.5")
def _(d: Any) -> dict[str, Any]:
    alpha = d.positive()
    left, right = f.coefficient(1, alpha), f.coefficient(np.nextafter(1, 2), alpha)
    limits = {r"\lim_{\rho \uparrow 1} k": left, r"\lim_{\rho \downarrow 1} k": right}
    return {**limits, r"\alpha": alpha, "e": e}


@reads("6.6")
def _(d: Any) -> dict[str, Any]:
    gains = d.positive(3)
    return {**modalities(d), r"\Delta": gains, "B": [f.balance(m, gains) for m in range(3)]}


@reads("6.7")
def _(d: Any) -> dict[str, Any]:
    delta, eps = d.positive(), d.share()
    gains = (delta + eps, -delta)
    return {r"\delta": delta, r"\varepsilon": eps, "B": [f.balance(m, gains) for m in (0, 1)]}


@reads("6.8")
def _(d: Any) -> dict[str, Any]:
    gains, floor = d.share(3) * ([1, 1, 1], [1, -0.5, 1], [-1, -1, -1])[d.index], d.share()
    guarded = [f.guarded(m, gains, floor) for m in range(3)]
    factors = {r"B^\varepsilon": guarded, "B": [f.balance(m, gains) for m in range(3)]}
    return {
        **modalities(d),
        r"\Delta": gains,
        r"\Delta^+": np.maximum(gains, 0),
        r"\varepsilon": floor,
        **factors,
    }


@reads("6.9")
def _(d: Any) -> dict[str, Any]:
    u, *v = (x / np.linalg.norm(x) for x in d.real(4, 2))
    balances, cosines = d.real(3), [float(u @ x) for x in v]
    names = {"B": balances, "c": cosines, "u": u, "v": v, r"\mathrm{sgn}": np.sign}
    return {**modalities(d), "L": f.direction_loss(balances, cosines), **names}


def smoothed(d: Any, losses: Any = None, mu: float = 0.0) -> dict[str, Any]:
    """Losses of three modalities and their smoothed maximum."""
    losses, mu, lam = d.real(3) if losses is None else np.array(losses), mu or d.positive(), d.positive()
    names = {"f": losses, "f_0": d.real(), r"\mu": mu, r"\lambda": lam, "e": e}
    smooth = float(mu * (logsumexp(losses / mu) - log(3)))
    return {**modalities(d), r"S_\mu(f)": smooth, "p": softmax(losses / mu), **names}


@reads("6.10")
def _(d: Any) -> dict[str, Any]:
    names = smoothed(d)
    return {**names, "F": f.mimo(names["f_0"], names["f"], names[r"\lambda"], names[r"\mu"])}


@reads("6.11")
def _(d: Any) -> dict[str, Any]:
    if d.index == 0:
        return {**smoothed(d, [1.3, -900.0, -950.0]), "sharp": [0]}
    return {**smoothed(d, [0.7] * 3), "sharp": [1]} if d.index == 1 else smoothed(d)


@reads("6.12")
def _(d: Any) -> dict[str, Any]:
    names, slopes, slope0 = smoothed(d), d.real(3, 2), d.real(2)
    found = f.mimo_gradient(slope0, slopes, names["f"], names[r"\lambda"], names[r"\mu"])
    return {**names, r"\nabla F": found, r"\nabla f_0": slope0, r"\nabla f": slopes}


@reads("6.13")
def _(d: Any) -> dict[str, Any]:
    names = smoothed(d, mu=20 * d.positive())
    rest = names[r"S_\mu(f)"] - f.near_mean(names["f"], names[r"\mu"])
    return {**names, r"O(\mu^{-2})": rest, r"\bar f": names["f"].mean()}


@reads("6.14")
def _(d: Any) -> dict[str, Any]:
    names = smoothed(d, [1.7, 0.2, -0.4] if d.index else [1.7, 0.2, 1.7], mu=0.2)
    rest = names[r"S_\mu(f)"] - f.near_max(names["f"].tolist(), 0.2)
    return {**names, r"o(\mu^n)": rest, "r": 1 if d.index else 2}


@reads("6.15")
def _(d: Any) -> dict[str, Any]:
    names, slopes, bends = smoothed(d), d.real(3), d.real(3)
    found = f.curvature(names["p"], slopes, bends, names[r"\mu"])
    return {**names, r"S''_\mu": found, "f'": slopes, "f''": bends}


def gradients(d: Any) -> dict[str, Any]:
    """Two gradients, first at an obtuse angle, and the shortest vector between."""
    a, b = d.real(3), d.real(3)
    b = b if (a @ b > 0) == (d.index > 0) else -b
    a, b = ((a, b), (0.1 * a, b), (0.2 * b + 0.01 * a, b), (a, 0.2 * a + 0.01 * b))[
        d.index
    ]  # the last two are clipped
    gamma = f.min_norm_weight(a, b)
    return {"a": a, "b": b, r"\gamma": gamma, "d": gamma * a + (1 - gamma) * b}


@reads("6.16", draws=4)
def _(d: Any) -> dict[str, Any]:
    return gradients(d)


@reads("6.17")
def _(d: Any) -> dict[str, Any]:
    names, gamma = gradients(d), d.share()
    return {**names, r"\gamma": gamma, "d": gamma * names["a"] + (1 - gamma) * names["b"]}


@reads("6.18", draws=4)
def _(d: Any) -> dict[str, Any]:
    names = gradients(d)
    h = np.array(f.released_sum(names["a"], names["b"]), float)
    weight = (h / 2 - names["b"])[0] / (names["a"] - names["b"])[0]
    return {**names, "h": h, "w": weight}


@reads("6.19", draws=4)
def _(d: Any) -> dict[str, Any]:
    names = gradients(d)
    h = d.real(3) * (0.1, 1, 9, 0.3)[d.index]  # shorter than the sum or longer
    return {**names, "h": h, "g": f.lengthened(h, names["a"] + names["b"])}


@reads("6.20", draws=1)
def _(d: Any) -> dict[str, Any]:
    a, b = (2, -1), (-5, 9)
    h = f.released_sum(a, b)
    found = [f.lengthened([x], [y + z])[0] for x, y, z in zip(h, a, b, strict=True)]
    return {"a": a, "b": b, "h": h, "g": found, "t": ones(2)}


def selection(d: Any) -> dict[str, Any]:
    """A label of three classes that generates two modalities of four values each, which select together."""
    prior, first, second = d.masses(3), d.rng.dirichlet(np.ones(4), 3), d.rng.dirichlet(np.ones(4), 3)
    chosen = d.share(4, 4, 3)
    joint = prior * first.T[:, None] * second.T[None] * chosen  # [x1, x2, y]
    x1, x2 = d.count(0, 3), d.count(0, 3)
    given = [prior * table[:, x] / (prior @ table[:, x]) for table, x in ((first, x1), (second, x2))]
    likelihoods = [first[:, x1], second[:, x2]]
    return {
        "p(y)": prior,
        "m": ones(2),
        "M": 2,
        "p(x_m | y)": Of("m", lambda m: likelihoods[m - 1]),
        "p(y | x_m)": Of("m", lambda m: given[m - 1]),
        "p(v = 1 | x, y)": chosen[x1, x2],
        "p(y | x, v = 1)": joint[x1, x2] / joint[x1, x2].sum(),
        "x_2": Each(range(4)),
        "p(x_1 | y)": first[:, x1],
        "p(x_2 | y)": Of("x_2", lambda x: second[:, x]),
        "p(v = 1 | x_1, x_2, y)": Of("x_2", lambda x: chosen[x1, x]),
        "p(y | x_1, v = 1)": joint[x1].sum(axis=0) / joint[x1].sum(),
    }


reads("6.21")(selection)
reads("6.23")(selection)


def experts(d: Any) -> dict[str, Any]:
    """Logits of two experts for three classes, and a label."""
    logits, y = d.real(2, 3), d.count(1, 3)
    logs = np.log(softmax(logits, axis=1))
    named = {
        r"\ell_e(y)": Of("e", lambda i: logs[i - 1, y - 1]),
        r"\ell_e(k)": Of("e k", lambda i, k: logs[i - 1, k - 1]),
    }
    return {
        "e": ones(2),
        "k": ones(3),
        "y": y,
        "logits": logits,
        r"\log p(y | x)": f.log_product(y - 1, logits),
        **named,
    }


@reads("6.22")
def _(d: Any) -> dict[str, Any]:
    return experts(d)


@reads("6.24")
def _(d: Any) -> dict[str, Any]:
    names = experts(d)
    total = names["logits"].sum(axis=0)
    slopes = {
        r"\frac{\partial (-\log p(y | x))}{\partial f_{e,k}}": Of(
            "k", lambda k: f.residual(k - 1, names["y"] - 1, total)
        )
    }
    return {**names, **slopes, "p(k | x)": Of("k", lambda k: softmax(total)[k - 1])}


@reads("6.25")
def _(d: Any) -> dict[str, Any]:
    table = d.masses(12).reshape(4, 3)
    codes = np.array([table[:1].sum(axis=0), table[1:].sum(axis=0)])
    tables = {"p(x, y)": Of("x y", lambda x, y: table[x, y]), "p(z, y)": Of("z y", lambda z, y: codes[z, y])}
    ranges = {"x": Each(range(4)), "y": Each(range(3)), "z": Each(range(2))}
    return {r"\eta(g)": f.latent_quality(table, codes), **tables, **ranges}


@reads("6.26", draws=6)
def _(d: Any) -> dict[str, Any]:
    fine = d.masses(12).reshape(4, 3)
    coarse, inputs = np.array([fine[:2].sum(axis=0), fine[2:].sum(axis=0)]), d.masses(3)
    found = {r"\eta(g)": f.latent_quality([inputs], coarse), r"\eta(g')": f.latent_quality([inputs], fine)}
    ranges = {"z": Each("ab"), "z'": Each(range(4)), "y": Each(range(3)), r"\pi": lambda z: "aabb"[z]}
    return {"p(z', y)": Of("z' y", lambda z, y: fine[z, y]), **found, **ranges}


@reads("6.27")
def _(d: Any) -> dict[str, Any]:
    deviations = d.share(2)
    key = r"\min_c \mathbb E \big( y - c (x_1 + x_2) \big)^2"
    return {key: f.tied_risk(*deviations**2), r"\sigma": deviations}


@reads("6.28")
def _(d: Any) -> dict[str, Any]:
    best, reached, excess = (
        d.share(),
        1 + d.positive(2),
        d.positive(2),
    )  # least risks overall and of each class
    names: dict[str, Any] = {}
    for i, name in enumerate("AB"):
        names[rf"r(\hat h_{name} \circ \hat g_{name})"] = reached[i] + excess[i]
        names[rf"\eta(\hat g_{name})"] = reached[i] - best
        names[rf"\epsilon_{name}"] = excess[i]
    return names


@reads("6.29")
def _(d: Any) -> dict[str, Any]:
    k, w = d.count(0, 3), d.share()
    return {"R(k, w)": f.simulation_risk(k, w), "k": k, "w": w}


@reads("6.30")
def _(d: Any) -> dict[str, Any]:
    variances = d.positive(3)
    weights = [f.inverse_variance_weight(m, variances) for m in range(3)]
    return {**modalities(d), "v": variances, "w": weights}


@reads("6.31")
def _(d: Any) -> dict[str, Any]:
    g, s, n = d.real(), d.positive(), d.count()
    return {r"\gamma": f.svag_factor(g, s**2, n), "g": g, "s": s, "N": n}
