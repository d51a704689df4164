"""Readings of the displays of chapter 5."""

from itertools import product
from math import sqrt
from typing import Any

import numpy as np

from theory.registry import reads
from theory.support import update_draws as draws
from theory.support import update_formulas as f
from theory.support import update_reference as ref
from theory.support.outcomes import ones
from theory.support.readings_02 import joint
from theory.values import Average, Each, Of


def sources(d: Any, count: int = 3, beliefs: Any = None, positive: Any = None) -> dict[str, Any]:
    """Beliefs, batch means and the fused opinion of some sources, by enumeration of Dempster's full rule."""
    beliefs = d.share(count) if beliefs is None else np.array(beliefs, float)
    positive = d.share(len(beliefs)) if positive is None else positive
    *_, u, clash = ref.fuse(ref.split(beliefs, positive))
    ranges = {"M": len(beliefs), "m": ones(len(beliefs)), "l": ones(len(beliefs))}
    kappa = ref.kappa(beliefs, positive)
    names = {"b": beliefs, "u": u, "C": clash, r"\kappa": kappa, r"\bar g": d.real(len(beliefs))}
    return {**ranges, **names, "c": ref.by_hand(beliefs, positive)}


def signs(values: Any, deviations: Any) -> list[Any]:
    """All outcomes of values that are off by their deviations, up or down."""
    outcomes = product((-1, 1), repeat=len(values))
    return [np.array(values) + np.array(s) * np.array(deviations) for s in outcomes]


@reads("5.1")
def _(d: Any) -> dict[str, Any]:
    kappa, weights, means = d.positive(2), d.share(3, 2), d.real(3, 2)
    found = [f.update(kappa[i], weights[:, i], means[:, i]) for i in range(2)]
    return {r"\hat g": found, r"\kappa": kappa, "w": weights, r"\mu": means, "M": 3, "d": ones(2)}


@reads("5.2")
def _(d: Any) -> dict[str, Any]:
    names = sources(d)
    return {**names, "w": f.relative_belief(names["b"])}


@reads("5.3")
def _(d: Any) -> dict[str, Any]:
    names = sources(d)
    return {**names, r"\kappa": f.fused_certainty(3, names["u"])}


@reads("5.4")
def _(d: Any) -> dict[str, Any]:
    names = sources(d)
    shrunk = names["b"] * names[r"\bar g"]
    return {**names, r"\hat g": f.update(names[r"\kappa"], f.relative_belief(names["b"]), shrunk)}


@reads("5.5")
def _(d: Any) -> dict[str, Any]:
    if d.index == 0:
        return {**sources(d, beliefs=[0, d.share(), 0]), "sharp": [0]}
    return {**sources(d, positive=[1, 1, 1]), "sharp": [1]} if d.index == 1 else sources(d)


@reads("5.6")
def _(d: Any) -> dict[str, Any]:
    names = sources(d, 2, positive=[1, 0])
    return {**names, "b_1": names["b"][0], "b_2": names["b"][1]}


@reads("5.7")
def _(d: Any) -> dict[str, Any]:
    b, mean = d.share(), d.real()
    return {"b": b, r"\bar g": mean, r"\hat g": ref.weighted(ref.by_hand([b], [d.share()]), [mean])}


@reads("5.8")
def _(d: Any) -> dict[str, Any]:
    names = sources(d, 2)
    return {**names, r"\hat g": ref.weighted(names["c"], names[r"\bar g"])}


@reads("5.9")
def _(d: Any) -> dict[str, Any]:
    b, count = d.share(), d.count(2, 4)
    return {"b": b, "M": count, "c": ref.by_hand([b] * count, [1] * count)[0]}


def one_or_alone(d: Any, power: int) -> dict[str, Any]:
    """One source, one among vacuous ones, which attain the ends of its coefficient, or any sources."""
    names = sources(d, beliefs=([d.share()], [d.share(), 1e-12, 1e-12], None)[d.index])
    once = [c / b for c, b in zip(names["c"], names["b"], strict=True)]
    names |= {"c": names["c"] if power == 2 else once, "sharp": ([0, 1], [1], [])[d.index]}
    return names if d.index != 1 else {**names, "m": Each([1])}


@reads("5.10")
def _(d: Any) -> dict[str, Any]:
    return one_or_alone(d, 2)


@reads("5.11")
def _(d: Any) -> dict[str, Any]:
    slack = d.share() / 2
    beliefs = ([1 - slack], [1, 1 - slack, 1 - slack], [1, 1, 1 - slack / 2])[d.index]
    names = sources(d, beliefs=beliefs, positive=[0.7, 0.7, 0.7][: len(beliefs)])
    sure = {**names, r"\varepsilon": slack, "sharp": ([0], [1], [])[d.index]}
    return {**sure, "m": Each([1])} if d.index == 1 else sure


@reads("5.12")
def _(d: Any) -> dict[str, Any]:
    names = sources(d)
    before = ref.weighted(names["c"], names[r"\bar g"])
    after = before * ref.kappa([*names["b"], 0], [0.5] * 4) / ref.kappa(names["b"], [0.5] * 3)
    return {"M": 3, r"\hat g(\text{with a vacuous source})": after, r"\hat g(\text{without})": before}


@reads("5.13")
def _(d: Any) -> dict[str, Any]:
    beliefs, means = d.share(3, 2), d.real(3, 2)
    found = [f.update(f.fused_certainty(3, 0), f.relative_belief(beliefs[:, i]), means[:, i]) for i in (0, 1)]
    return {r"\hat g": found, "b": beliefs, r"\bar g": means, "M": 3, "m": ones(3), "d": ones(2)}


@reads("5.14")
def _(d: Any) -> dict[str, Any]:
    names, scales = sources(d), d.positive(3)
    return {**names, "s": scales, r"\hat g'": f.rescaled_update(names["c"], scales, names[r"\bar g"])}


@reads("5.15")
def _(d: Any) -> dict[str, Any]:
    precisions, scales = d.positive(3), d.positive(3)
    moved = ref.bogc_precision_weights(scales**2 / precisions)
    return {r"\Lambda": precisions, "s": scales, "w'": moved, "m": ones(3), "l": ones(3)}


@reads("5.16")
def _(d: Any) -> dict[str, Any]:
    names = joint(d)
    return {**names, "c": d.real(), "n": names[r"\varsigma"]}


@reads("5.17")
def _(d: Any) -> dict[str, Any]:
    b, prior = d.share(), d.positive()
    return {r"\text{risk}": lambda c: f.shrinkage_risk(c, prior, prior * (1 - b) / b), "b": b}


@reads("5.18")
def _(d: Any) -> dict[str, Any]:
    b, tau, c = d.share(3), d.positive(3), d.real(3)
    noises = tau**2 * (1 - b) / b

    def risk(factors: Any) -> float:
        return sum(f.shrinkage_risk(x, t**2, n) for x, t, n in zip(factors, tau, noises, strict=True))

    return {r"\text{risk}": risk, "b": b, "c": c, r"\tau": tau, "M": 3, "m": ones(3)}


@reads("5.19")
def _(d: Any) -> dict[str, Any]:
    c, g = d.positive(3, 2), d.real(3, 2)
    exact = {"G": g.sum(axis=0), r"\mathbb E\hat g": (c * g).sum(axis=0)}
    return {**exact, "c": c, "g": g, "M": 3, "D": 2}


@reads("5.20")
def _(d: Any) -> dict[str, Any]:
    g = d.positive(3, 2) * [[1, -1], [1, -1], [-0.3, 0.3]]  # either side is the stronger once
    low, high = d.share(), 1 + d.share()
    names = {r"c_{\min}": low, r"c_{\max}": high, "P": np.maximum(g, 0).sum(0), "Q": np.maximum(-g, 0).sum(0)}
    return {r"\min_c\langle G,\mathbb E\hat g\rangle": draws.box(g.tolist(), low, high), "D": 2, **names}


@reads("5.21", draws=6)
def _(d: Any) -> dict[str, Any]:
    b, g2 = d.share(2), -d.positive()
    turn = -g2 * (b[1] / b[0]) ** 2  # g1 at which the update vanishes
    g1 = turn * (0.99 if d.index % 2 else 1.01)
    expected = f.two_sources(b[0], b[1], d.share() * b[0] * b[1], g1, g2)
    return {r"\mathbb E\hat g": expected, "b": b, "g_1": g1, "g_2": g2}


@reads("5.22")
def _(d: Any) -> dict[str, Any]:
    c, a = d.share(2, 2), d.real(2)
    linear = draws.jacobian(c[0], c[1], *a.tolist())
    return {r"\det": float(linear.det()), "a": a, "c": c}


@reads("5.23")
def _(d: Any) -> dict[str, Any]:
    s = d.positive()
    g = 2 * s + d.positive()
    outcomes = [(1 - s**2 / x**2, x) for x in (g - s, g + s)]
    kept, mean, both = (sum(value) / 2 for value in zip(*[(b, x, b * x) for b, x in outcomes], strict=True))
    return {r"\mathrm{Cov}(b,\bar g)": both - kept * mean, "g": g, "s": s}


@reads("5.24")
def _(d: Any) -> dict[str, Any]:
    p, a, floor = d.share() / 2, d.positive(), d.share() / 9
    noise, values = p * a**2 / (1 - p), (a, -p * a / (1 - p))
    law = [{"b": max(1 - noise / x**2, floor / (1 + floor)), r"\bar g": x} for x in values]
    names = {r"\mathbb E": Average(law, [p, 1 - p]), "b": 0, r"\bar g": 0}
    return {"p": p, "a": a, r"\varphi": floor, **names}


@reads("5.25")
def _(d: Any) -> dict[str, Any]:
    g, s = d.real(), d.positive()
    halves = [(x**2 / (x**2 + 2), x) for x in (g - s, g + s)]
    law = [
        {"c(A)": first, r"\bar g_A": x, "c(B)": second, r"\bar g_B": y, "c": first}
        for (first, x), (second, y) in product(halves, repeat=2)
    ]
    return {r"\mathbb E": Average(law), "g": g, **law[0]}


@reads("5.26")
def _(d: Any) -> dict[str, Any]:
    means, beliefs, noises, level = d.real(2, 3), d.share(3), d.positive(3), d.positive()
    count, prior_count = d.positive(), d.positive()
    moved = level * (means[1] - means[0])
    slope = [
        f.own_draw_slope(b, x, v, count, prior_count) for b, x, v in zip(beliefs, moved, noises, strict=True)
    ]
    names = {r"\bar g": means, "b": beliefs, "v": noises, r"\ell": level, "n_t": count, "d_0": prior_count}
    return {
        r"\frac{\partial b_d}{\partial\bar g_{t,d}}": Of("d", lambda i: slope[i - 1]),
        "t": 2,
        "d": ones(3),
        **names,
    }


def assumptions(d: Any) -> dict[str, Any]:
    """Numbers of the theorem."""
    names = {r"\alpha": d.positive(), r"\eta": d.positive(), "L": d.positive(), "S": d.positive()}
    return {
        **names,
        r"\Delta": d.positive(),
        "T": d.count(),
        r"F(x_t)": d.positive(),
        r"\nabla F(x_t)": d.real(3),
    }


@reads("5.27")
def _(d: Any) -> dict[str, Any]:
    low, high, rho = d.share(), 1 + d.share(), 1 + d.share()
    return {r"\alpha": f.alignment(low, high, rho), r"c_{\min}": low, r"c_{\max}": high, r"\rho": rho}


@reads("5.28")
def _(d: Any) -> dict[str, Any]:
    names = assumptions(d)
    value, alpha, rate, smooth, moment = (names[k] for k in ("F(x_t)", r"\alpha", r"\eta", "L", "S"))
    square = float(np.sum(names[r"\nabla F(x_t)"] ** 2))
    bound = f.step_bound(value, rate, alpha, square, smooth, moment**2)
    expected = bound if d.index else bound - 0.1
    return {**names, r"\mathbb E[F(x_{t+1})\mid\text{past}]": expected, "sharp": [0] if d.index else []}


@reads("5.29")
def _(d: Any) -> dict[str, Any]:
    names = assumptions(d)
    arguments = [names[k] for k in (r"\Delta", r"\eta", r"\alpha", "T", "L")]
    squares = names["T"] * f.average_bound(*arguments, names["S"] ** 2) * d.masses(names["T"])
    values = [*squares, 7.0, 8.0] if d.index else [*squares / 2, 7.0, 8.0]  # the last are of steps after T
    squared = Of("t", lambda t: values[t])
    ranges = {"t": Each(range(names["T"] + 2)), "sharp": [0] if d.index else []}
    return {**names, r"\mathbb E\lVert\nabla F(x_t)\rVert^2": squared, **ranges}


@reads("5.30")
def _(d: Any) -> dict[str, Any]:
    names = assumptions(d)
    arguments = [names[k] for k in (r"\Delta", r"\alpha", "T", "L")]
    least = sqrt(f.rate_bound(*arguments, names["S"] ** 2))
    squared = Of("t", lambda t: least * max(names["T"] - t, 0.3) * (1 if d.index else 0.5))  # less after T
    ranges = {"t": Each(range(names["T"] + 2)), "sharp": [0] if d.index else []}
    return {**names, r"\mathbb E\lVert\nabla F(x_t)\rVert^2": squared, **ranges}


@reads("5.31")
def _(d: Any) -> dict[str, Any]:
    c, loads = d.real(3), d.real(3, 3)
    exact, covariance = draws.shared_variance(c, loads)
    return {r"\mathrm{Var}(\hat g)": exact, r"\Sigma": np.array(covariance, float), "c": c, "M": 3}


@reads("5.32")
def _(d: Any) -> dict[str, Any]:
    precisions = d.positive(3)
    weights = ref.bogc_precision_weights(1 / precisions)
    least = sum(w**2 / p for w, p in zip(weights, precisions, strict=True))
    return {r"\min_w\mathrm{Var}": least, r"\Lambda": precisions, "m": ones(3)}


@reads("5.33")
def _(d: Any) -> dict[str, Any]:
    c, g, s = d.real(3), d.real(3), d.positive(3)
    law = Average([{r"\hat g": float(np.dot(c, x))} for x in signs(g, s)])
    names = {r"\mathbb E": law, "g": g, "G": float(g.sum()), "c": c, "n": s**2}
    return {r"\hat g": 0, "M": 3, **names}


@reads("5.34", draws=6)
def _(d: Any) -> dict[str, Any]:
    noises, first = d.positive(2), d.real()
    g = np.array([first, first + sqrt(noises.sum()) * (0.99 if d.index % 2 else 1.01)])
    best = 2 * noises[::-1] / noises.sum()  # twice the inverse-variance weights

    def risk(c: Any) -> float:
        return float(np.mean([(np.dot(c * np.ones(2), x) - g.sum()) ** 2 for x in signs(g, noises**0.5)]))

    return {r"\text{risk}": risk, "c": best, "g": g, "n": noises}


@reads("5.35")
def _(d: Any) -> dict[str, Any]:
    opinions = [belief for belief, _ in (d.opinion(2), d.opinion(2))]
    names = {"b": [sum(pair) for pair in opinions], r"\lambda": [x - y for x, y in opinions]}
    return {r"\kappa": ref.lean(opinions), **names}


@reads("5.36")
def _(d: Any) -> dict[str, Any]:
    weight, evidence = d.positive(), d.positive(2)
    first, second = (e / (weight + e) for e in evidence)
    return {r"\kappa": ref.lean([(first, 0), (0, second)]), "W": weight, "e": evidence}


@reads("5.37")
def _(d: Any) -> dict[str, Any]:
    means, direction = d.real(3, 4), d.real(4)
    square = f.match_square(direction, means.sum(axis=0))
    return {"f": sqrt(square), r"\bar g": means, r"\hat g": direction, "m": ones(3), "d": ones(4)}


@reads("5.38")
def _(d: Any) -> dict[str, Any]:
    ratios, means = d.share(3), d.real(3)
    found = f.matched_limit(ratios, means, float(np.linalg.norm(means)))
    names = {r"\bar g": means, "r": ratios, "d": ones(3), "k": ones(3)}
    return {r"\lim_{\varepsilon\to0}f\hat g_d": Of("d", lambda i: found[i - 1]), **names}


@reads("5.39")
def _(d: Any) -> dict[str, Any]:
    names = sources(d)
    return {**names, "c": f.coefficients_once(names[r"\kappa"], names["b"])}


@reads("5.40")
def _(d: Any) -> dict[str, Any]:
    b, count = d.share(), d.count(2, 4)
    return {"b": b, "M": count, "c": ref.by_hand([b] * count, [1] * count)[0] / b}


@reads("5.41")
def _(d: Any) -> dict[str, Any]:
    return one_or_alone(d, 1)
