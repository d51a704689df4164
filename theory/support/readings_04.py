"""Readings of the displays of chapter 4."""

from typing import Any

import numpy as np
from scipy.special import ndtr

from theory.registry import reads
from theory.support.outcomes import ones
from theory.support.posterior_oracles import Formulas
from theory.support.powerset import fuse, intersect, mass_of, subsets
from theory.support.rounding import EPS
from theory.values import Each, Of

f = Formulas("04_dempster.py")
SETS = [frozenset(k + 1 for k in subset) for subset in subsets(3)]


def on_sets(values: Any) -> Any:
    """Function of a subset from values in index order."""
    return dict(zip(SETS, values, strict=True)).__getitem__


def power_set(d: Any) -> dict[str, Any]:
    """Two mass functions on three hypotheses, what they give together, and a non-empty subset."""
    first, second = np.array([0, *d.masses(7)]), np.array([0, *d.masses(7)])
    fused, some = f.dempster(first, second), (1, 6, 3)[d.index]
    rest = {"A": SETS[some], r"\bar A": SETS[7 - some], "B": Each(SETS), "D": Each(SETS)}
    masses = {"m_1": on_sets(first), "m_2": on_sets(second), "m": on_sets(fused)}
    return {
        "C": f.conflict(first, second),
        "fused": fused,
        "first": first,
        "second": second,
        **rest,
        **masses,
    }


@reads("4.1")
def _(d: Any) -> dict[str, Any]:
    return power_set(d)


@reads("4.2")
def _(d: Any) -> dict[str, Any]:
    return power_set(d)


@reads("4.3")
def _(d: Any) -> dict[str, Any]:
    names = power_set(d)
    return {**names, "q": on_sets(f.commonality(names["fused"]))}


@reads("4.4")
def _(d: Any) -> dict[str, Any]:
    names = power_set(d)
    q = f.commonality(names["fused"])
    return {**names, "q": on_sets(q), "m": on_sets(f.moebius(q))}


@reads("4.5")
def _(d: Any) -> dict[str, Any]:
    names = power_set(d)
    q1, q2, q = (on_sets(f.commonality(names[key])) for key in ("first", "second", "fused"))
    return {**names, "q_1": q1, "q_2": q2, "q": q}


@reads("4.6")
def _(d: Any) -> dict[str, Any]:
    mass = d.masses(8)  # with mass on the empty set, which does not count
    believed = on_sets([f.belief(mass, a) for a in range(8)])
    return {**power_set(d), r"\mathrm{bel}": believed, "m": on_sets(mass)}


@reads("4.7")
def _(d: Any) -> dict[str, Any]:
    names = power_set(d)
    inside, meeting = (on_sets([g(names["fused"], a) for a in range(8)]) for g in (f.belief, f.plausibility))
    return {**names, r"\mathrm{bel}": inside, r"\mathrm{pl}": meeting}


@reads("4.8")
def _(d: Any) -> dict[str, Any]:
    names = power_set(d)
    shared = lambda k: f.pignistic(names["fused"], k - 1)  # noqa: E731
    return {"m": names["m"], "A": Each(SETS), "k": 1 + d.index, r"\mathrm{BetP}": shared}


def opinions(d: Any, sources: int = 3, result: Any = None) -> dict[str, Any]:
    """Opinions of some sources on three hypotheses, and what a rule makes of them."""
    pairs = [d.opinion() for _ in range(sources)]
    beliefs, doubts = np.array([b for b, _ in pairs]), [u for _, u in pairs]
    fused, u = (result or f.reduced)(beliefs, doubts)
    evidence, weight = np.array([b / doubt for b, doubt in pairs]), d.positive()
    ranges = {"m": ones(sources), "k": ones(3), "M": sources, "K": 3}
    each = {"b": beliefs, "u_m": Of("m", lambda m: doubts[m - 1]), "e": weight * evidence, "W": weight}
    known = {"b_k": Of("k", lambda k: fused[k - 1]), "e_k": Of("k", lambda k: weight * fused[k - 1] / u)}
    return {"u": u, "u_1": doubts[0], "u_2": doubts[1], **ranges, **each, **known}


def clash(names: dict[str, Any]) -> float:
    """Conflict of opinions by intersection."""
    doubts = [names["u_m"].function(m) for m in range(1, names["M"] + 1)]
    return intersect([mass_of(b, u) for b, u in zip(names["b"], doubts, strict=True)])[frozenset()]


def pair(rule: Any) -> Any:
    """A rule for two sources, as one for a list."""
    return lambda beliefs, doubts: rule(beliefs[0], doubts[0], beliefs[1], doubts[1])


@reads("4.9")
def _(d: Any) -> dict[str, Any]:
    names = opinions(d)
    return {**names, "Z": 1 - clash(names)}


@reads("4.10")
def _(d: Any) -> dict[str, Any]:
    names = opinions(d, 2, pair(f.positive))
    return {**names, "Z": 1 - clash(names)}


@reads("4.11")
def _(d: Any) -> dict[str, Any]:
    names = opinions(d, 2)
    return {**names, "C": f.opinion_conflict(*names["b"])}


@reads("4.12")
def _(d: Any) -> dict[str, Any]:
    first, second = d.opinion(), d.opinion()
    vacuous = (np.zeros(3), 1.0)
    first, second = ((first, vacuous), (vacuous, second), (first, second))[d.index]
    (b1, u1), (b2, u2) = first, second
    names = {
        "b": [b1.tolist(), b2.tolist()],
        "u_1": u1,
        "u_2": u2,
        "k": ones(3),
        "sharp": ([0, 1], [1], [])[d.index],
    }
    return {"u": f.positive(b1, u1, b2, u2)[1], "Z": f.remaining(b1, u1, b2, u2), **names}


@reads("4.13")
def _(d: Any) -> dict[str, Any]:
    names = opinions(d)
    return {**names, "Z": f.possible(names["b"], [names["u_m"].function(m) for m in (1, 2, 3)])}


@reads("4.14")
def _(d: Any) -> dict[str, Any]:
    names = opinions(d)
    fused = [f.product_form(column, names["W"]) for column in names["e"].T]
    return {**names, "e_k": Of("k", lambda k: fused[k - 1])}


@reads("4.15")
def _(d: Any) -> dict[str, Any]:
    return {**(names := opinions(d, 2)), r"e_{1k}\oplus e_{2k}": names["e_k"]}


@reads("4.16")
def _(d: Any) -> dict[str, Any]:
    return opinions(d)


@reads("4.17")
def _(d: Any) -> dict[str, Any]:
    return opinions(d)


@reads("4.18")
def _(d: Any) -> dict[str, Any]:
    names = opinions(d)
    weight = names["W"]
    strengths = Of("m", lambda m: weight / names["u_m"].function(m))
    return {**names, "C": clash(names), "S_m": strengths, "S": weight / names["u"]}


@reads("4.19", draws=1)
def _(d: Any) -> dict[str, Any]:
    def together(first: Any, second: Any) -> tuple[Any, Any]:
        size = len(first)
        joint, lost = fuse([mass_of(e.astype(int).tolist(), size) for e in (first, second)]) or ({}, 1)
        frame = joint[frozenset(range(size))]
        return float(lost), np.array([float(size * joint[frozenset([k])] / frame) for k in range(size)])

    return {"C": lambda *pair: together(*pair)[0], "e": lambda *pair: together(*pair)[1]}


def surely(d: Any) -> dict[str, Any]:
    """Sources whose evidence is all on one hypothesis."""
    weight, ratios = d.positive(), 1 + d.positive(3)
    evidence = weight * (ratios - 1)
    names = {"m": ones(3), "M": 3, "W": weight, "r": ratios, "e": evidence, r"\Lambda_0": d.positive()}
    return {"T": Each(SETS), r"e_{\mathrm{DS}}": f.product_form(evidence, weight), **names}


@reads("4.20")
def _(d: Any) -> dict[str, Any]:
    names = surely(d)
    fused = 1 + names[r"e_{\mathrm{DS}}"] / names["W"]
    return {**names, r"\Lambda_{\mathrm{DS}}": names[r"\Lambda_0"] * fused}


@reads("4.21")
def _(d: Any) -> dict[str, Any]:
    names = surely(d)
    return {**names, r"\Lambda_{\mathrm{Bayes}}": names[r"\Lambda_0"] * f.precision_sum(names["r"])}


@reads("4.22")
def _(d: Any) -> dict[str, Any]:
    return surely(d)


@reads("4.23")
def _(d: Any) -> dict[str, Any]:
    amounts, chances, weight = d.positive(2), ndtr(d.real(2)), d.positive()
    split = [[e * p, e * (1 - p)] for e, p in zip(amounts, chances, strict=True)]
    names = {"e_1": amounts[0], "e_2": amounts[1], r"\Phi_1": chances[0], r"\Phi_2": chances[1]}
    return {**names, "e": split, "W": weight, "k": ones(2)}


@reads("4.24")
def _(d: Any) -> dict[str, Any]:
    return opinions(d, 2, pair(f.cumulative))


@reads("4.25")
def _(d: Any) -> dict[str, Any]:
    return opinions(d, 2, pair(f.averaging))


@reads("4.26")
def _(d: Any) -> dict[str, Any]:
    e, weight, n = (0.0, 0.1, d.positive())[d.index], 0.4 + d.positive(), d.count()
    return {"e_k": e, "W": weight, "n": n, "e^{(n)}_k": f.repeated(e, weight, n)}


@reads("4.27")
def _(d: Any) -> dict[str, Any]:
    s, doubt = d.share(), d.share()
    pair = [[(1 - doubt) * x for x in shares] for shares in ((1 - s, s, 0), (0, s, 1 - s))]
    belief, u = f.positive(pair[0], doubt, pair[1], doubt)
    found = dict(zip(("b_1", "b_2", "b_3"), belief, strict=True))
    return {"s": s, "d": doubt, "u": u, "Z": f.remaining(pair[0], doubt, pair[1], doubt), **found}


@reads("4.28")
def _(d: Any) -> dict[str, Any]:
    s = d.share() / 3
    return {"s": s, "d": f.enough_doubt(s)}


@reads("4.29")
def _(d: Any) -> dict[str, Any]:
    n, eps = (1, 4, 4)[d.index], (0.3, 0.3, 0.17)[d.index]
    signs, errors = d.rng.choice([-1, 1], n), eps * d.rng.uniform(-1, 1, n)
    if d.index == 0:  # the worst case of a single rounding attains the bound
        signs, errors = [-1], [-eps]
    return {
        "sharp": [] if d.index else [0],
        "n": n,
        r"\varepsilon": eps,
        "s": signs,
        r"\delta": errors,
        r"\gamma_n": f.gamma(n, eps),
    }


def single(values: Any) -> Any:
    """Array in float32."""
    return np.array(values, np.float32)


@reads("4.30", tolerance=1e-8)
def _(d: Any) -> dict[str, Any]:
    weight, amounts = np.float32(d.positive()), single(d.positive(4))
    found = amounts[0]
    for e in amounts[1:]:
        found = found + e + found * e / weight
    n = f.evidence_roundings(4)
    exact = f.product_form([float(e) for e in amounts], float(weight))
    found, n = (found, n) if d.index else (exact * (1 + f.gamma(n, EPS)), n)  # as far off as may be
    sharp = [] if d.index else [0]
    return {"M": 4, r"\hat e_k": found, "e_k": exact, "n": n, r"\gamma_n": f.gamma(n, EPS), "sharp": sharp}


@reads("4.31", tolerance=1e-8)
def _(d: Any) -> dict[str, Any]:
    beliefs, doubts = single([d.masses(3)[:2] for _ in range(3)]), single(d.share(3))
    found, u = beliefs[0], doubts[0]
    for b, v in zip(beliefs[1:], doubts[1:], strict=True):
        found, u = f.positive(found, u, b, v)
    exact, _ = f.reduced(beliefs.astype(float), doubts.astype(float))
    n = f.opinion_roundings(3, 2)
    share = found[0] if d.index else exact[0] * (1 + f.gamma(n, EPS))  # as far off as may be
    names = {r"\hat b_k": share, "b_k": exact[0], "n": n, r"\gamma_n": f.gamma(n, EPS)}
    return {"M": 3, "K": 2, "sharp": [] if d.index else [0], **names}


@reads("4.32")
def _(d: Any) -> dict[str, Any]:
    names = opinions(d, 2)
    first, second = names["b"]
    slope = Of(
        "k",
        lambda k: f.opinion_conflict(first, second) - f.opinion_conflict(first + np.eye(3)[k - 1], second),
    )
    return {
        **names,
        "C": f.opinion_conflict(first, second),
        r"\frac{\partial (1 - C)}{\partial b_{1k}}": slope,
    }


def opposed(d: Any) -> dict[str, Any]:
    """Much evidence (t, 0) against (0, t)."""
    weight, t = d.positive(), 1e5 * d.positive()
    belief, u = t / (weight + t), weight / (weight + t)
    fused, left = f.positive([belief, 0.0], u, [0.0, belief], u)
    return {"t": t, "W": weight, "C": 1 - f.opposed(t, weight), "u": left, r"\varepsilon": EPS, "b": fused}


@reads("4.33", tolerance=1e-8)
def _(d: Any) -> dict[str, Any]:
    names = opposed(d)
    belief = names["t"] / (names["W"] + names["t"])
    return {**names, "C": f.opinion_conflict([belief, 0.0], [0.0, belief])}


@reads("4.34")
def _(d: Any) -> dict[str, Any]:
    (belief, u), eta = d.opinion(), 0.01 * d.share()
    return {"u": u, r"\eta": eta, r"\hat u": 1 - sum(b * (1 + eta) for b in belief)}


@reads("4.35", tolerance=1e-8)
def _(d: Any) -> dict[str, Any]:
    return opposed(d)


@reads("4.36", draws=4)
def _(d: Any) -> dict[str, Any]:
    weight = 2.0  # a power of two, so that the quotient is exact
    evidence = EPS * weight * (1.0, d.share(), 1 + d.share(), 1.01)[d.index]
    return {"W": weight, "e": evidence, r"\varepsilon": EPS, r"\mathrm{fl}": lambda x: float(np.float32(x))}


@reads("4.37", draws=6)
def _(d: Any) -> dict[str, Any]:
    (belief, u), weight = d.opinion(), d.positive()
    mass = [0.0] * 8
    for index, value in ((1, belief[0]), (2, belief[1]), (4, belief[2]), (7, u)):
        mass[index] = value
    weights = dict(zip(SETS[1:-1], f.canonical_weights(belief, u), strict=True))
    names = {
        "q": on_sets(f.commonality(mass)),
        "w": weights.__getitem__,
        "A": SETS[d.index + 1],
        "B": Each(SETS),
    }
    return {"b": belief, "u": u, "k": ones(3), "W": weight, "e": weight * belief / u, **names}


@reads("4.38")
def _(d: Any) -> dict[str, Any]:
    return opinions(d, 3, f.cautious)
