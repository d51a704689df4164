"""Checks of chapter 1, last part: the filter as training runs it, over steps of the calibrator."""

import torch

from bogc.calibration import Pipeline
from bogc.posterior import FilteredRoute, StationaryPrior
from theory.registry import How, check
from theory.support.posterior_oracles import f, gap
from theory.support.successive_checks import DECAY, noises
from theory.support.training import Trained

Filtered = tuple[list[float], list[float]]


def filtered_by_formulas(history: list[list[torch.Tensor]], counts: list[int]) -> list[Filtered]:
    """Mean and variance of each dimension from the fourth step on, by the formulas and their floors."""
    lag1, lag2, root, total, weight, found = 0.0, 0.0, 0.0, 0.0, 0.0, list[Filtered]()
    means, evidences = [0.0] * len(history[0][0]), [0.0] * len(history[0][0])
    for t, (level, roots) in enumerate(noises(history, counts), start=1):
        now, count, age = history[t][0].tolist(), counts[t], f.discounted(DECAY, max(t - 2, 1))
        if root:
            weak = lag1 / age * count <= 0.02 * root
            total = DECAY * total + (0.9 if weak else min(max(f.persistence(lag1, lag2), 0.5), 0.98))
            weight = DECAY * weight + 1
            phi = total / weight
            a = f.stationary(max(lag1 / age, root * 0.03 / count), phi)
            for d, r in enumerate(roots):
                tau2, v = f.levelled(level, a, r, count)
                means[d], evidences[d] = f.filtered(means[d], evidences[d], phi, tau2 / v, now[d])
            scales = [f.levelled(level, a, r, count)[0] for r in roots]
            found.append((list(means), [s / (1 + e) for s, e in zip(scales, evidences, strict=True)]))
        if t >= 2:
            then, before = (history[t - lag][0].tolist() for lag in (1, 2))
            lag1 = DECAY * lag1 + f.weighted_product(now, then, roots)
            lag2 = DECAY * lag2 + f.weighted_product(now, before, roots)
            root = sum(roots) / len(roots)
    return found


@check("1.33", "1.37", how=How.NUMERICAL, tolerance=1e-9, code="bogc.posterior.FilteredRoute")
def training_filters_by_the_formulas() -> float:
    """Twelve steps of the calibrator with the filter and its prior: mean and variance of each dimension."""
    torch.manual_seed(7)
    truth = 3 * torch.randn(12, 5, dtype=torch.float64).cumsum(0)
    history = [[row + torch.randn(5, dtype=torch.float64)] for row in truth]
    counts, found = [10, 16, 16, 7] * 3, []
    layer = Trained(5, pipeline=Pipeline(prior=StationaryPrior(), route=FilteredRoute()))
    for gradients, count in zip(history, counts, strict=True):
        block = layer.step(gradients, count)
        if block is not None:
            posterior = block.posteriors["fusion"]
            found += [*posterior.loc, *posterior.variance]
    wanted = [x for pair in filtered_by_formulas(history, counts) for part in pair for x in part]
    return gap([x / y for x, y in zip(found, wanted, strict=True)], [1.0] * len(wanted))
