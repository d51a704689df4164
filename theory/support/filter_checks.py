"""Checks of chapter 1, last part: the filter and the block prior over steps of the calibrator."""

import torch

from bogc.calibration import Pipeline
from bogc.posterior import BlockPrior, FilteredRoute, StationaryPrior
from theory.registry import How, check
from theory.support.posterior_oracles import f, gap
from theory.support.successive_checks import DECAY, noises
from theory.support.training import Trained

Filtered = tuple[list[float], list[float]]


def filtered_by_formulas(history: list[list[torch.Tensor]], counts: list[int]) -> list[Filtered]:
    """Mean and variance of each dimension from the fourth step on, by the formulas and their floors."""
    lag1, lag2, root, total, weight, found = 0.0, 0.0, 0.0, 0.0, 0.0, list[Filtered]()
    means, evidences = [0.0] * len(history[0][0]), [0.0] * len(history[0][0])
    for t, (level, _, roots) in enumerate(noises(history, counts), start=1):
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


@check("1.28", "1.32", how=How.NUMERICAL, tolerance=1e-9, code="bogc.posterior.FilteredRoute")
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


@check("1.9", "1.16", how=How.NUMERICAL, tolerance=1e-9, code="bogc.posterior.BlockPrior")
def training_subtracts_the_noise() -> float:
    """Ten steps of the calibrator with BlockPrior: its scale, from discounted squares and noises."""
    torch.manual_seed(9)
    history = [[2 + torch.randn(5, dtype=torch.float64)] for _ in range(10)]
    counts, squares, noise, found, wanted = [10, 16] * 5, 0.0, 0.0, list[float](), list[float]()
    layer = Trained(5, pipeline=Pipeline(prior=BlockPrior(decay=0.7)))
    blocks = [layer.step(gradients, count) for gradients, count in zip(history, counts, strict=True)]
    for t, (level, pooled, _) in enumerate(noises(history, counts), start=1):
        block, age = blocks[t], f.discounted(0.7, max(t - 2, 1))
        if block is not None:
            found.append(float(block.priors["fusion"].variance[0]))
            wanted.append(f.prior_scale([squares / age], [noise / age]))
        if t >= 2:
            squares = 0.7 * squares + float(history[t][0].square().mean())
            noise = 0.7 * noise + f.levelled(level, 1, pooled**0.5, counts[t])[1]
    return gap(found, wanted)
