"""Readings of the displays of chapter 6 on the multimodal restricted Boltzmann machine."""

from math import e
from typing import Any

import numpy as np
from scipy.special import expit, logsumexp

from theory.registry import reads
from theory.support.elementary import six as f
from theory.support.elementary import states
from theory.support.outcomes import ones
from theory.support.siblings.machine import Machine
from theory.values import Average, Each, Of


def machine(d: Any) -> dict[str, Any]:
    """A restricted Boltzmann machine with a state of its units, all as columns."""
    rbm = Machine.of(d.real(17))
    x, z, q, r = d.rng.integers(0, 2, 3), d.rng.integers(0, 2, 2), d.share(3), d.share(2)
    phi = rbm.c + x @ rbm.W + z @ rbm.U
    vectors = {
        "a": rbm.a,
        "b": rbm.b,
        "c": rbm.c,
        "x": x,
        "z": z,
        "q": q,
        "r": r,
        r"\phi": phi,
        r"\hat h": expit(phi),
    }
    columns = {name: np.array(value, float)[:, None] for name, value in vectors.items()}
    ranges = {"i": ones(3), "j": ones(2)}
    return {"rbm": rbm, "W": rbm.W, "U": rbm.U, "e": e, r"\sigma": expit, **columns, **ranges}


@reads("6.32")
def _(d: Any) -> dict[str, Any]:
    names = machine(d)
    return {**names, "F(x, z)": f.free_energy(names["rbm"], names["x"][:, 0], names["z"][:, 0])}


def data(d: Any) -> dict[str, Any]:
    """A machine and three pairs of data, over which the expectation runs."""
    rbm = Machine.of(d.real(17))
    pairs = [(states(3)[d.count(0, 7)], states(2)[d.count(0, 3)]) for _ in range(3)]
    law = Average([{"x": x, "z": z} for x, z in pairs])

    def share(x: Any, z: Any, fill: Any) -> float:
        return np.exp(-f.free_energy(rbm, x, z)) / sum(np.exp(-f.free_energy(rbm, *other)) for other in fill)

    given = {
        "p(x' | z)": Of("x' z", lambda x, z: share(x, z, [(other, z) for other in states(3)])),
        "p(z' | x)": Of("z' x", lambda z, x: share(x, z, [(x, other) for other in states(2)])),
    }
    functions = {
        "F": lambda x, z: f.free_energy(rbm, x, z),
        r"\nabla F": lambda x, z: f.free_gradient(rbm, x, z),
    }
    ranges = {"x'": Each(states(3)), "z'": Each(states(2)), "e": e, r"\mathbb E": law}
    return {"rbm": rbm, "pairs": Each(pairs), **functions, **given, **ranges}


@reads("6.33")
def _(d: Any) -> dict[str, Any]:
    names = data(d)
    return {**names, "L": f.min_vi(names["rbm"], names["pairs"].values)}


@reads("6.34")
def _(d: Any) -> dict[str, Any]:
    P, Q = d.masses(6).reshape(2, 3), d.masses(6).reshape(2, 3)
    Q = P if d.index == 0 else Q
    tables, names = {"P": P, "Q": Q}, {"x": Each(range(2)), "z": Each(range(3))}
    for name, table in tables.items():
        names[name] = Of("x z", lambda x, z, table=table: table[x, z])
        names[f"{name}_x"] = Of("x", lambda x, table=table: table.sum(1)[x])
        names[f"{name}_z"] = Of("z", lambda z, table=table: table.sum(0)[z])
    by_z = [{f"{k}_{{x|z}}": t[:, z] / t[:, z].sum() for k, t in tables.items()} for z in range(3)]
    by_x = [{f"{k}_{{z|x}}": t[x] / t[x].sum() for k, t in tables.items()} for x in range(2)]
    averages = {r"\mathbb E_z": Average(by_z, P.sum(0)), r"\mathbb E_x": Average(by_x, P.sum(1))}
    divergence = {r"\mathrm{KL}": lambda p, q: float(np.sum(p * np.log(p / q)))}
    entropies = {"L": f.excess_over_vi(P, Q) + 1, "V": 1, "sharp": [] if d.index else [0]}
    return {**names, **averages, **divergence, **entropies, **by_z[0], **by_x[0]}


@reads("6.35")
def _(d: Any) -> dict[str, Any]:
    names = machine(d)
    flat = f.free_gradient(names["rbm"], names["x"][:, 0], names["z"][:, 0])
    parts = np.split(flat, np.cumsum([6, 4, 3, 2]))
    shapes = ((3, 2), (2, 2), (3, 1), (2, 1), (2, 1))
    slopes = {rf"\partial_{k} F": p.reshape(s) for k, p, s in zip("WUabc", parts, shapes, strict=True)}
    return {**names, **slopes}


@reads("6.36")
def _(d: Any) -> dict[str, Any]:
    names = data(d)
    return {**names, r"\nabla L": f.min_vi_gradient(names["rbm"], names["pairs"].values)}


@reads("6.37")
def _(d: Any) -> dict[str, Any]:
    names, new = machine(d), states(3)[d.count(0, 7)]
    rbm, up = names["rbm"], names[r"\hat h"][:, 0]
    columns = [h[:, None] for h in states(2)]
    chance = lambda bits, p: float(np.prod(np.where(bits == 1, p, 1 - p)))  # noqa: E731
    down = lambda h: expit(rbm.a + rbm.W @ h[:, 0])  # noqa: E731
    laws = {
        "p(h | x, z)": Of("h", lambda h: chance(h[:, 0], up)),
        "p(x' | h)": Of("h", lambda h: chance(new, down(h))),
        "p(h_j = 1 | x, z)": Of("j", lambda j: up[j - 1]),
        "p(x_i = 1 | h)": Of("i h", lambda i, h: down(h)[i - 1]),
    }
    step = f.transition(rbm, names["x"][:, 0], new, names["z"][:, 0])
    return {**names, "T(x, x')": step, "h": Each(columns), **laws}


@reads("6.38")
def _(d: Any) -> dict[str, Any]:
    names, x, z = data(d), states(3)[d.count(0, 7)], states(2)[d.count(0, 3)]
    samples = [s for s in states(3) if s.sum() != d.index]
    best = min(samples, key=lambda s: names["F"](s, z))
    found = f.perceptron_gradient(names["rbm"], x, z, samples)
    return {**names, "x": x, "z": z, "x^-": best, r"\nabla \ell": found, r"\arg\min_{x_s} F(x_s, z)": best}


@reads("6.39")
def _(d: Any) -> dict[str, Any]:
    energies = (np.array([0, 45, 60, 70]), np.zeros(4), d.real(4))[d.index]
    exact, least = energies[1] + logsumexp(-energies), energies[1] - energies.min()
    return {r"\ell": least, r"\log p(x | z)": -exact, "n": 2, "sharp": ([0], [1], [])[d.index]}


def entropy(p: Any) -> Any:
    """Entropy of a bit."""
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


@reads("6.40")
def _(d: Any) -> dict[str, Any]:
    names = machine(d)
    found = f.variational_free_energy(names["rbm"], *(names[k][:, 0] for k in "zqr"))
    return {**names, r"\mathcal F(q, r)": found, r"\mathrm{ent}": entropy}


@reads("6.41")
def _(d: Any) -> dict[str, Any]:
    names = machine(d)
    r, q = f.mean_field(names["rbm"], names["z"][:, 0], names["q"][:, 0])
    return {**names, "r'": r[:, None], "q'": q[:, None]}


@reads("6.42")
def _(d: Any) -> dict[str, Any]:
    names = machine(d)
    z, q, r = (names[k][:, 0] for k in "zqr")
    new, _ = f.mean_field(names["rbm"], z, q)
    r = new if d.index == 0 else r
    energies = {
        rf"\mathcal F(q, r{k})": f.variational_free_energy(names["rbm"], z, q, v)
        for k, v in (("", r), ("^{new}", new))
    }
    return {**energies, "r": r, "r^{new}": new, "j": ones(2), "sharp": [] if d.index else [0]}
