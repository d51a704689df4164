"""Readings of the displays of chapter 0."""

from typing import Any

import numpy as np
import sympy as sp

from theory.registry import reads
from theory.support.expectations import MEAN, VARIANCE, draws, expectation
from theory.support.posterior_oracles import Formulas
from theory.values import Average, Each, Operator

f = Formulas("00_notation.py")


@reads("0.1")
def _(d: Any) -> dict[str, Any]:
    theta, at = sp.Symbol("theta"), d.real()
    losses = [sp.sin(k * theta + d.real()) for k in range(1, d.count() + 1)]
    slopes = [float(loss.diff(theta).subs(theta, at)) for loss in losses]
    gradient = Operator(lambda mean: float(mean.diff(theta).subs(theta, at)))
    return {
        "N": len(losses),
        "G": slopes,
        r"\ell": losses,
        r"\bar g": f.mean_gradient(slopes),
        r"\nabla": gradient,
    }


@reads("0.2")
def _(d: Any) -> dict[str, Any]:
    samples = d.real(d.count())
    unbiased = {r"\mathbb Es^2": expectation(f.sample_variance, 3), r"\sigma^2": VARIANCE}
    found = {"s^2": f.sample_variance(samples), r"\bar g": f.mean_gradient(samples)}
    return {"N": len(samples), "G": samples, **unbiased, **found}


@reads("0.3")
def _(d: Any) -> dict[str, Any]:
    n = d.count(2, 4)
    weights, outcomes = zip(*draws(n), strict=True)
    means = [{r"\bar g": sum(samples) / n} for samples in outcomes]
    return {r"\mathbb E": Average(means, weights), "g": MEAN, r"\sigma": float(VARIANCE) ** 0.5, "N": n}


@reads("0.4")
def _(d: Any) -> dict[str, Any]:
    means = d.real(d.count())
    return {"M": len(means), r"\bar g": means, r"g_{\mathrm{plain}}": f.plain_sum(means)}


@reads("0.5")
def _(d: Any) -> dict[str, Any]:
    dimensions = ("left", "right")  # no numbers, so that no index is taken for another
    kappa, weights, means = d.share(2), np.array([d.masses(3) for _ in range(2)]), d.real(2, 3)
    updates = [
        f.update(k, list(zip(w, mean, strict=True))) for k, w, mean in zip(kappa, weights, means, strict=True)
    ]
    one = {r"\hat g": updates, r"\kappa": kappa}
    names = {name: dict(zip(dimensions, values, strict=True)) for name, values in one.items()}
    for name, values in (("w", weights), (r"\mu", means)):
        names[name] = {m: dict(zip(dimensions, values[:, m - 1], strict=True)) for m in (1, 2, 3)}
    return {"M": 3, "m": Each([1, 2, 3]), "d": Each(dimensions), **names}


@reads("0.6")
def _(d: Any) -> dict[str, Any]:
    means = d.real(d.count())
    kappa, weight = f.neutral(len(means))
    names = {r"\kappa": kappa, "w": [weight for _ in means], r"\bar g": means}
    return {
        "M": len(means),
        "m": Each(range(1, len(means) + 1)),
        r"g_{\mathrm{plain}}": f.plain_sum(means),
        **names,
    }


@reads("0.7")
def _(d: Any) -> dict[str, Any]:
    blocks, plain = d.real(2, 3), d.real(2, 3)
    factor = f.length_factor(blocks, plain)
    names = {r"\hat g": blocks, r"g_{\mathrm{plain}}": plain, r"\lambda": factor}
    return {r"\hat g_{\mathrm{scaled}}": factor * blocks, **names}
