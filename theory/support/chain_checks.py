"""Checks of chapter 5: the whole chain, from gradients to ``.grad``, of the balancer and of the one page."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

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

MODULES, SOURCES, ABSENT = {"audio": 4, "video": 3}, ("fusion", "audio", "video"), (2, 6)


def batches(counts: Sequence[int], unit: float = 1.0) -> Iterator[Rows]:
    """Gradients of samples: three sources meet in one module, two in the other; one is absent at times."""
    for step, count in enumerate(counts):
        rows = random_rows(dict.fromkeys(SOURCES, count), 4, 20 + step, tuple(MODULES))
        for parts in rows.values():
            parts |= {"audio": unit * parts["audio"], "video": unit * parts["video"][:, :3]}
        del rows["audio"]["video"]
        if step in ABSENT:
            del rows["video"]
        yield rows


def claimed(seen: Sequence[Rows], name: str, samples: int | None) -> Iterator[Tensor]:
    """Update of a module at each step, by the formulas; the plain sum while a source is not known yet."""
    known = {}
    for source in (s for s in SOURCES if name in seen[0][s]):
        steps = [t for t, rows in enumerate(seen) if source in rows]
        batch = [seen[t][source][name] for t in steps]
        found = by_formulas([[own.mean(0)] for own in batch], list(map(len, batch)), samples)
        known |= {(source, t): at for t, at in zip(steps[3:], found, strict=True)}
    for t, rows in enumerate(seen):
        means = [parts[name].mean(0).tolist() for parts in rows.values() if name in parts]
        at = [known.get((source, t)) for source, parts in rows.items() if name in parts]
        yield ref.double(
            [sum(column) for column in zip(*means, strict=True)] if None in at else update(means, at)
        )


def update(means: Sequence[Sequence[float]], at: Sequence[Any]) -> list[float]:
    """Update of a layer from means [M][D] and the (v, tau^2) of each source, by chapters 1, 2, 3 and 5."""
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
    return [factor * x for x in direction]


def worst_of(seen: Sequence[Rows], found: Sequence[Mapping[str, Tensor]], samples: int | None) -> float:
    """Largest relative difference from what the formulas say."""
    errors = [
        float((g[name] - wanted).norm() / wanted.norm())
        for name in MODULES
        for g, wanted in zip(found, claimed(seen, name, samples), strict=True)
    ]
    return ref.gap(errors, [0.0] * len(errors))


@check("5.3", "5.14", "5.37", "5.39", how=How.NUMERICAL, tolerance=1e-9, code="bogc.BOGC")
def the_balancer_trains_by_the_formulas() -> float:
    """Ten steps of BOGC on batches of several sizes, layer by layer; then with gradients near 2^40."""
    worst = []
    for unit in (1.0, 2.0**40):
        network = Prescribed({name: [size] for name, size in MODULES.items()})
        balancer, seen = BOGC(network.partition, samples=50), list(batches([10, 16, 7, 12, 9] * 2, unit))
        worst.append(worst_of(seen, [network.step(balancer, rows) for rows in seen], 50))
    return max(worst)


@check("5.3", "5.37", "5.39", how=How.NUMERICAL, tolerance=1e-9, code="bogc.mini.MiniBOGC")
def the_page_trains_by_the_formulas() -> float:
    """The same steps on batches of ten, the size of the training set not known."""
    network = Prescribed({name: [size] for name, size in MODULES.items()})
    page = MiniBOGC([list(module.parameters()) for module in network.modules.values()])
    seen, found = list(batches([10] * 10)), []
    for rows in seen:
        page.backward(network.losses(rows))
        found.append({name: module.taken() for name, module in network.modules.items()})
    return worst_of(seen, found, None)
