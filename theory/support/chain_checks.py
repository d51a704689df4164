"""Checks of chapter 5: the whole chain, from gradients to ``.grad``, of the balancer and of the one page."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

import torch
from scipy.special import ndtr
from torch import Tensor

from bogc import BOGC
from bogc.mini import MiniBOGC
from theory.registry import How, check
from theory.support import update_reference as ref
from theory.support.posterior_oracles import f
from theory.support.prescribed import Prescribed, Rows, random_rows
from theory.support.successive_checks import by_formulas
from theory.support.update_checks import chapter

MODULES, STEPS = {"audio": 4, "video": 3}, 8


def batches(counts: Sequence[int]) -> Iterator[Rows]:
    """Gradients of the samples of each step: three sources meet in one module, two in the other."""
    for step, count in enumerate(counts):
        rows = random_rows(dict.fromkeys(("fusion", "audio", "video"), count), 4, 20 + step, tuple(MODULES))
        for parts in rows.values():
            parts["video"] = parts["video"][:, :3]
        del rows["audio"]["video"]
        yield rows


def claimed(history: Mapping[str, list[Tensor]], counts: Sequence[int], samples: int | None) -> list[Tensor]:
    """Update of a layer from the fourth step on, by the formulas of chapters 1, 2, 3 and 5."""
    known = [by_formulas([[g] for g in own], list(counts), samples) for own in history.values()]
    found = []
    for step, at in enumerate(zip(*known, strict=True), start=3):
        means = [own[step].tolist() for own in history.values()]
        direction = []
        for d, column in enumerate(zip(*means, strict=True)):
            priors = [tau2[d] for _, tau2 in at]
            posteriors = [
                f.shrunk(0, tau2, mean, v[d]) for (v, _), tau2, mean in zip(at, priors, column, strict=True)
            ]
            beliefs = [1 - v / tau2 for (_, v), tau2 in zip(posteriors, priors, strict=True)]
            positive = [float(ndtr(mean / sqrt(v))) for mean, v in posteriors]
            kappa = ref.kappa(beliefs, positive)
            direction.append(ref.weighted(chapter().coefficients_once(kappa, beliefs), column))
        plain = [sum(column) for column in zip(*means, strict=True)]
        factor = chapter().match_square(direction, plain) ** 0.5
        found.append(torch.tensor([factor * x for x in direction], dtype=torch.float64))
    return found


def worst_of(seen: Sequence[Rows], found: Sequence[Mapping[str, Tensor]], samples: int | None) -> float:
    """Largest relative difference from what the formulas say, and from the plain sum before that."""
    counts, errors = [len(rows["fusion"]["audio"]) for rows in seen], []
    for name in MODULES:
        history = {s: [rows[s][name].mean(0) for rows in seen] for s in seen[0] if name in seen[0][s]}
        plain = [sum(own[step] for own in history.values()) for step in range(3)]
        wanted = [*plain, *claimed(history, counts, samples)]
        errors += [float((g[name] - w).norm() / w.norm()) for g, w in zip(found, wanted, strict=True)]
    return ref.gap(errors, [0.0] * len(errors))


@check("5.3", "5.37", "5.39", how=How.NUMERICAL, tolerance=1e-9, code="bogc.BOGC")
def the_balancer_trains_by_the_formulas() -> float:
    """Eight steps of BOGC on batches of several sizes: what it adds to .grad, layer by layer."""
    network = Prescribed({name: [size] for name, size in MODULES.items()})
    balancer, seen = BOGC(network.partition, samples=50), list(batches([10, 16, 7, 12] * 2))
    return worst_of(seen, [network.step(balancer, rows) for rows in seen], 50)


@check("5.3", "5.37", "5.39", how=How.NUMERICAL, tolerance=1e-9, code="bogc.mini.MiniBOGC")
def the_page_trains_by_the_formulas() -> float:
    """The same eight steps on batches of ten, the size of the training set not known."""
    network = Prescribed({name: [size] for name, size in MODULES.items()})
    page = MiniBOGC([list(module.parameters()) for module in network.modules.values()])
    seen, found = list(batches([10] * STEPS)), []
    for rows in seen:
        page.backward(network.losses(rows))
        found.append({name: module.taken() for name, module in network.modules.items()})
    return worst_of(seen, found, None)
