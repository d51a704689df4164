"""Readings of the displays of chapter 3."""

from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.special import gamma, ndtr
from scipy.stats import dirichlet

from theory.registry import reads
from theory.support.outcomes import ones
from theory.support.posterior_oracles import Formulas
from theory.values import Of

f = Formulas("03_opinion.py")


def counted(d: Any) -> dict[str, Any]:
    """Evidence on three hypotheses, and its opinion and Dirichlet."""
    evidence, weight, rates = d.positive(3), d.positive(), d.masses(3)
    belief, u = f.opinion(evidence, weight)
    alpha = f.concentration(evidence, weight, rates)
    names = {"e": evidence, "W": weight, "a": rates, "b": np.array(belief), "u": u, "K": 3, "S": sum(alpha)}
    return {r"\alpha": np.array(alpha), "P": dirichlet.mean(alpha), "k": ones(3), "j": ones(3), **names}


for number in ("3.1", "3.2", "3.3", "3.4", "3.5", "3.10"):
    reads(number)(counted)


@reads("3.6")
def _(d: Any) -> dict[str, Any]:
    names = counted(d)
    exact = dirichlet.cov(names[r"\alpha"])
    between = {r"\mathrm{Cov}(p_k, p_l)": Of("k l", lambda k, j: exact[k - 1, j - 1]), r"\delta": np.eye(3)}
    return {**names, **between, "l": ones(3)}


@reads("3.7")
def _(d: Any) -> dict[str, Any]:
    names = counted(d)
    exact = dirichlet.var(names[r"\alpha"])
    return {**names, r"\mathrm{Var}(p_k)": Of("k", lambda k: exact[k - 1])}


@reads("3.8")
def _(d: Any) -> dict[str, Any]:
    names = counted(d)
    return {**names, "h": dirichlet.entropy(names[r"\alpha"])}


@reads("3.9")
def _(d: Any) -> dict[str, Any]:
    names, other = counted(d), d.positive()
    belief, u = f.opinion(names["e"], other)
    return {**names, "V": other, "b'": belief, "u'": u}


@reads("3.11")
def _(d: Any) -> dict[str, Any]:
    names, rates = counted(d), d.masses(3)
    moved = dirichlet.mean(f.concentration(names["e"], names["W"], rates))
    return {**names, "a'": rates, "P'": moved}


@reads("3.12")
def _(d: Any) -> dict[str, Any]:
    first, second = 1 + d.positive(3), 1 + d.positive(3)
    return {r"\alpha": first, r"\beta": second, r"\gamma": f.product_of(first, second), "k": ones(3)}


@reads("3.13", tolerance=1e-7)
def _(d: Any) -> dict[str, Any]:
    first, second = 1 + d.positive(2), 1 + d.positive(2)
    laws = [dirichlet(alpha) for alpha in (first, second)]
    exact = quad(lambda p: np.prod([law.pdf([p, 1 - p]) for law in laws]), 0, 1)[0]
    names = {r"\ln\int\mathrm{Dir}(p;\alpha)\mathrm{Dir}(p;\beta)dp": np.log(exact), r"\alpha": first}
    return {"B": lambda alpha: np.prod(gamma(alpha)) / gamma(np.sum(alpha)), r"\beta": second, **names}


@reads("3.14")
def _(d: Any) -> dict[str, Any]:
    names = counted(d)
    return {**names, r"\beta": f.factor(names["e"])}


@reads("3.15")
def _(d: Any) -> dict[str, Any]:
    names = counted(d)
    shares = [f.marginal(names[r"\alpha"], k) for k in range(3)]
    return {**names, "p": shares, r"\mathrm{Beta}": lambda a, b: np.array([a, b])}


@reads("3.16")
def _(d: Any) -> dict[str, Any]:
    e, mu, v = d.positive(), d.real(), d.positive()
    plus, minus = f.sign_evidence(e, mu, v)
    return {"e": e, "e_+": plus, "e_-": minus, r"\mu": mu, "v": v}


@reads("3.17")
def _(d: Any) -> dict[str, Any]:
    u, sure = d.share(), ndtr(d.real())
    return {"P_+": f.sign_probability(u, sure), "u": u, r"\Phi": sure}
