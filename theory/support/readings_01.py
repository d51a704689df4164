"""Readings of the displays of chapter 1."""

from itertools import permutations
from math import pi, sqrt
from typing import Any

import numpy as np
import sympy as sp
from scipy.stats import norm

import theory.support.posterior_oracles as by
from theory.registry import reads
from theory.support.expectations import MEAN, VARIANCE, expectation
from theory.support.outcomes import average, ones
from theory.support.posterior_oracles import f
from theory.values import Average, Of, Operator

SIGMA = float(VARIANCE) ** 0.5


@reads("1.1")
def _(d: Any) -> dict[str, Any]:
    m, mean, tau, sigma, n = d.real(), d.real(), d.positive(), d.positive(), d.count()
    mu, v = f.shrunk(m, tau**2, mean, sigma**2 / n)
    found = {r"\Lambda": f.normal_precision(tau**2, sigma**2, n), r"\mu": mu, "v": v}
    return {"m": m, r"\bar g": mean, r"\tau": tau, r"\sigma": sigma, "N": n, **found}


@reads("1.2")
def _(d: Any) -> dict[str, Any]:
    m, mean, tau, sigma, n = d.real(), d.real(), d.positive(), d.positive(), d.count()
    mu, v = f.shrunk(m, tau**2, mean, sigma**2 / n)
    found = {"b": 1 - v / tau**2, r"\mu": mu, "v": v}
    return {"m": m, r"\bar g": mean, r"\tau": tau, r"\sigma": sigma, "N": n, **found}


@reads("1.3")
def _(d: Any) -> dict[str, Any]:
    n, mean, scatter = by.exact_moments(by.SAMPLES[d.index :])
    return {"N": int(n), "G": by.SAMPLES[d.index :], "g": d.real(), r"\bar g": mean, "R": scatter}


@reads("1.4")
def _(d: Any) -> dict[str, Any]:
    n, kappa, m, a, b = d.count(), d.positive(), d.real(), d.positive(), d.positive()
    mean, scatter = d.real(), d.positive()
    after = dict(
        zip((r"\kappa", "m'", "a", "b'"), f.nig_update(kappa, m, a, b, n, mean, scatter), strict=True)
    )
    return {r"\kappa_0": kappa, "m": m, "a_0": a, "b_0": b, "N": n, r"\bar g": mean, "R": scatter, **after}


@reads("1.5")
def _(d: Any) -> dict[str, Any]:
    g, m, kappa, a, b = d.real(), d.real(), d.positive(), d.positive(), d.positive()
    names = {"g": g, "m'": m, r"\kappa": kappa, "a": a, "b'": b, r"\pi": pi}
    return {"p(g)": f.marginal_density(g, kappa, m, a, b), **names}


@reads("1.6")
def _(d: Any) -> dict[str, Any]:
    kappa, a, b = d.share(), (0.7, 1.3, 2.6)[d.index], d.share()
    variance = f.marginal_variance(kappa, a, b) if a > 1 else np.inf
    return {r"\mathrm{Var}(g)": variance, r"\kappa": kappa, "a": a, "b'": b}


@reads("1.7")
def _(d: Any) -> dict[str, Any]:
    density = lambda g, mu, v: norm.pdf(g, mu, sqrt(v))  # noqa: E731
    law = {r"\mathbb E": average(1, lambda x: {"g": x[0]}), r"\mathcal N": density, "M": MEAN, "V": VARIANCE}
    return {r"\mu": d.real(), "v": d.positive(), r"\pi": pi, **law}


@reads("1.8")
def _(d: Any) -> dict[str, Any]:
    m, a, c, n = d.real(), d.positive(), d.positive(), 2

    def batch(x: list[float]) -> dict[str, float]:
        return {r"\bar g": m + a * (x[0] - float(MEAN)) + c * (sum(x[1:]) / n - float(MEAN))}

    return {r"\mathbb E": average(1 + n, batch), "m": m, r"\tau": a * SIGMA, r"\sigma": c * SIGMA, "N": n}


@reads("1.9")
def _(d: Any) -> dict[str, Any]:
    means, noises = d.positive(4), d.positive(4) * (4 if d.index == 1 else 0.1)
    estimate = f.prior_scale(means**2, noises)
    return {r"\hat\tau^2": estimate, r"\bar g": means, r"\varsigma": noises, "D": 4}


@reads("1.10")
def _(d: Any) -> dict[str, Any]:
    means, noises, tau = d.real(4), d.positive(4), d.positive()
    score = f.score(tau**2, list(zip(means**2, noises, strict=True)))
    names = {r"\frac{\partial\log p}{\partial\tau^2}": score, r"\bar g": means, r"\varsigma": noises}
    return {r"\tau": tau, "d": ones(4), **names}


@reads("1.11", tolerance=1e-7)
def _(d: Any) -> dict[str, Any]:
    means, noises = 2 * d.positive(4), d.positive(4) * 0.2
    observed = list(zip(means**2, noises, strict=True))
    tau2 = by.maximiser(observed)
    for _ in range(20):  # the fixed point attracts: polish what the numerical maximiser found
        tau2 = f.weighted_scale(tau2, observed)
    names = {r"\bar g": means, r"\varsigma": noises, "w": [(tau2 + noise) ** -2 for noise in noises]}
    return {r"\tau": sqrt(tau2), "d": ones(4), **names}


@reads("1.12")
def _(d: Any) -> dict[str, Any]:
    noise = d.positive()
    names = {r"\varphi": norm.pdf, r"\varsigma": noise, r"\pi": pi, "e": np.e, r"\tau": 0, "D": 1}
    return {r"\mathbb E\hat\tau^2": f.truncation_bias(noise), **names}


@reads("1.13")
def _(d: Any) -> dict[str, Any]:
    size, tau, noise = 1 + d.index, d.positive(), d.positive()
    exact = by.variance_of_mean_square(tau**2 + noise, size)
    return {
        r"\mathrm{Var}\Big(\frac1D\sum_d\bar g_d^2\Big)": exact,
        "D": size,
        r"\tau": tau,
        r"\varsigma": noise,
    }


@reads("1.14")
def _(d: Any) -> dict[str, Any]:
    sizes, means = [1, 3, 2], d.real(3)
    law = {r"\mathbb E\hat\sigma^2": expectation(lambda x: f.grouped_variance(by.split(x, sizes)), 6)}
    groups = {
        "n": sizes,
        "C": 3,
        r"\bar g": float(np.dot(sizes, means) / 6),
        r"\bar g_c": Of("c", lambda c: means[c - 1]),
    }
    found = {r"\hat\sigma^2": f.grouped_variance(list(zip(sizes, means, strict=True))), r"\sigma": SIGMA}
    return {**groups, **law, **found}


@reads("1.15")
def _(d: Any) -> dict[str, Any]:
    n1, n2, mean1, mean2, r1, r2 = d.count(), d.count(), d.real(), d.real(), d.positive(), d.positive()
    n, mean, scatter = f.merged(n1, mean1, r1, n2, mean2, r2)
    parts = {r"\bar g_1": mean1, "n": n, "n_1": n1, "n_2": n2, "R_1": r1, "R_2": r2, r"\delta": mean2 - mean1}
    return {r"\bar g": mean, "R": scatter, **parts}


@reads("1.16")
def _(d: Any) -> dict[str, Any]:
    decay, steps = d.share(), d.count()
    return {"n_t": f.discounted(decay, steps), "t": steps, r"\lambda": decay}


@reads("1.17")
def _(d: Any) -> dict[str, Any]:
    sizes = ([3, 2], [1, 3], [2, 1])[d.index]
    split = sizes[0]
    law = average(sum(sizes), lambda x: {r"\bar g": [np.mean(x[:split]), np.mean(x[split:])]})
    names = {"t": 2, "N": sizes, "h_t": f.difference_weight(*sizes), r"\sigma": SIGMA}
    return {r"\mathbb E": law, r"\bar g": [0, 0], **names}


@reads("1.18")
def _(d: Any) -> dict[str, Any]:
    decay = d.share()
    weights = decay ** np.arange(600)
    return {r"n_{\mathrm{eff}}": f.effective_count(weights), "w": weights, "t": ones(600), r"\lambda": decay}


@reads("1.19")
def _(d: Any) -> dict[str, Any]:
    w = d.positive(5)
    weights = dict(enumerate([*w, 0.0], start=1))  # nothing stands after the last
    return {r"\nu": by.differences_match(w.tolist()), "w": weights, "k": ones(5)}


@reads("1.20")
def _(d: Any) -> dict[str, Any]:
    mu, v, q, seen, r = d.real(), d.positive(), d.positive(), d.real(), d.positive()
    after = dict(zip(("K", r"\mu'", "v'"), f.kalman(mu, v, q, seen, r), strict=True))
    return {r"\mu": mu, "v": v, "q": q, r"\bar g": seen, "r": r, **after}


@reads("1.21")
def _(d: Any) -> dict[str, Any]:
    ratio = d.positive()
    return {r"K_\infty": by.riccati(ratio, 1.0, 1.0, 200)[0], r"\rho": ratio}


@reads("1.22")
def _(d: Any) -> dict[str, Any]:
    beta, before, seen, r = d.share(), d.real(), d.real(), d.positive()
    ratio = f.ratio_of_momentum(beta)
    names = {r"\beta": beta, r"K_\infty": f.steady_gain(ratio), "q": ratio * r, "r": r, r"\bar g_t": seen}
    return {r"\mu": [before, f.moving_average(before, seen, beta)], "t": 2, **names}


@reads("1.23")
def _(d: Any) -> dict[str, Any]:
    beta = d.share()
    return {r"\beta": beta, r"\rho": f.ratio_of_momentum(beta)}


@reads("1.24")
def _(d: Any) -> dict[str, Any]:
    g, r = d.real(), d.positive()
    return {r"\mathbb E\hat s": f.adam_second_moment(g, r), "g": g, "r": r}


@reads("1.25")
def _(d: Any) -> dict[str, Any]:
    theta, at, c = sp.Symbol("theta"), d.real(), d.real(3)
    losses = [sp.sin(k * theta + d.real()) for k in (1, 2, 3)]
    slope = Operator(lambda value: float(value.diff(theta).subs(theta, at)))
    return {
        r"\nabla_\theta": slope,
        "c": c,
        r"\ell": losses,
        "J": [slope.function(x) for x in losses],
        "i": ones(3),
    }


@reads("1.26")
def _(d: Any) -> dict[str, Any]:
    n, rho, sigma = d.count(), d.share(), d.positive()
    variance, noise = f.correlated(sigma**2, rho, n)
    names = {"N": n, r"\rho": rho, r"\sigma": sigma}
    return {r"\mathbb Es^2": variance, r"\mathrm{Var}(\bar g)": noise, **names}


@reads("1.27")
def _(d: Any) -> dict[str, Any]:
    sizes, drift, totals, count, d0 = (2, 1), d.real(), d.positive(3), d.positive(), d.positive()
    law = average(3, lambda x: {r"\bar g": [np.mean(x[:2]), x[2] + drift]})
    names = {
        r"\mathbb E": law,
        r"\bar g": [0, 0],
        "t": 2,
        "h_t": f.difference_weight(*sizes),
        r"\sigma": SIGMA,
    }
    n = d.positive()
    spread = f.moderated(totals, count, totals.mean() / n, d0)
    return {
        r"\Delta_t": drift,
        "T_t": totals,
        "T": totals,
        "n": n,
        "n_t": count,
        "d_0": d0,
        "s^2": spread,
        **names,
    }


@reads("1.28")
def _(d: Any) -> dict[str, Any]:
    truth, roots, n = d.real(2, 2), d.positive(2), d.count()
    errors = d.real(2, 2)  # of both dimensions, of one draw a batch

    def batches(x: list[float]) -> dict[str, Any]:
        return {r"\bar g": [truth[t] + errors[t] * (x[t] - float(MEAN)) for t in (0, 1)]}

    truth[1] = np.abs(truth[1]) * np.sign(truth[0])  # so that what both have in common is positive
    a = f.weighted_product(truth[1], truth[0], roots)
    law = {r"\mathbb E": average(2, batches), r"\bar g": truth, "g": truth, "s": roots, "t": 2, "N": n}
    beliefs, scales = [f.successive_belief(a, r, n) for r in roots], [f.signal_variance(a, r) for r in roots]
    return {"a": a, "b": beliefs, r"\tau": np.sqrt(scales), "d": ones(2), **law}


@reads("1.29")
def _(d: Any) -> dict[str, Any]:
    fast, slow, a, roots, n = d.positive(), d.positive(), d.positive(), d.positive(3), d.count()
    level = f.level(fast, slow)
    scale, noise = f.levelled(level, a, roots, n)
    names = {r"\text{fast}": fast, r"\text{slow}": slow, "a": a, "s": roots, "N": n, "d": ones(3)}
    return {r"\ell": level, r"\tau": scale**0.5, "v": noise, "u": noise / (noise + scale), **names}


@reads("1.30")
def _(d: Any) -> dict[str, Any]:
    rows = d.real(5, 2)
    sigma, n, truth = rows.std(axis=0, ddof=1), len(rows), rows.mean(axis=0)
    orders = [rows[list(order)] for order in permutations(range(n), 3)]
    law = Average([{r"\bar g": [x[0], x[1:].mean(axis=0)]} for x in orders])
    covariance = f.epoch_covariance(sigma**2, n)
    names = {r"\bar g": rows, "t": 2, "s": sigma, r"\sigma": sigma, "n": n, "a": np.mean(truth**2 / sigma)}
    return {r"\mathbb E": law, r"\mathrm{Cov}(\bar g_t,\bar g_{t-1})": covariance, **names}


@reads("1.31")
def _(d: Any) -> dict[str, Any]:
    e, phi = d.positive(), d.share()
    return {"F(e)": f.predicted(e, phi), "e": e, r"\phi": phi}


@reads("1.32")
def _(d: Any) -> dict[str, Any]:
    m, e, phi, r, seen, scale = d.real(), d.positive(), d.share(), d.positive(), d.real(), d.positive()
    after = dict(zip(("m'", "e'"), f.filtered(m, e, phi, r, seen), strict=True))
    lags = {"c_1": phi * scale, "c_2": phi**2 * scale, r"\tau": sqrt(scale)}
    return {"m": m, "F(e)": f.predicted(e, phi), r"\phi": phi, "r": r, r"\bar g": seen, **after, **lags}


@reads("1.33")
def _(d: Any) -> dict[str, Any]:
    z, eta, scale, spread = d.real(5), d.real(5), d.real(), d.positive()
    z = (z - z.mean()) / z.std()
    delta = f.before_batch_norm(eta, z, scale, spread)
    names = {r"\gamma": scale, "s": spread, "N": 5, "n": ones(5), "k": ones(5)}
    return {r"\delta": delta, r"\eta": eta, "z": z, **names}
