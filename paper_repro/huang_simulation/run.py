"""The experiment: one run a seed, twenty cells of the table each."""

from collections.abc import Mapping
from functools import partial

import torch

from paper_repro.experiment import Experiment, Series, Task
from paper_repro.huang_simulation.config import MODALITIES, HuangConfig
from paper_repro.huang_simulation.simulation import (
    best_mse,
    latent,
    least_squares,
    mean_squared_error,
    mixed,
    target,
)


def tasks(config: HuangConfig) -> Mapping[str, Task]:
    """One run a seed."""
    return {f"seed {seed}": partial(run_seed, config, seed) for seed in range(config.seeds)}


def run_seed(config: HuangConfig, seed: int) -> dict[str, float]:
    """Held-out mean squared error for every overlap and the first k modalities, k = 1 to 4."""
    generator = torch.Generator().manual_seed(seed)
    seen, unseen = latent(config.train, generator), latent(config.test, generator)
    errors = {}
    for overlap in config.overlaps:
        train, test = mixed(seen, overlap), mixed(unseen, overlap)
        for k in range(1, MODALITIES + 1):
            coefficients = least_squares(train[:, :k].flatten(1), target(train))
            error = mean_squared_error(coefficients, test[:, :k].flatten(1), target(test))
            errors[key(overlap, k)] = error
    return errors


def key(overlap: float, k: int) -> str:
    """Name of a cell of the table."""
    return f"w = {overlap:g}, k = {k}"


def _series(overlap: float, k: int) -> Series:
    described = f"least squares on the first {k} of {MODALITIES} modalities, overlap {overlap:g}"
    row = f"huang2021-simulation-w{overlap:g}-k{k}"
    return Series(key(overlap, k), described, row=row, exact=best_mse(k, overlap))


_FULL = HuangConfig()

EXPERIMENT = Experiment(
    name="huang-simulation",
    folder="huang_simulation",
    title="More modalities, less error: a simulation with a known best error",
    paper="Huang et al. 2021, arXiv 2106.04538, Table 4",
    unit="mean squared error",
    full=_FULL,
    quick=HuangConfig(overlaps=(0.5, 1.0), train=600, test=500, seeds=2),
    tasks=tasks,
    series=tuple(_series(overlap, k) for k in range(1, MODALITIES + 1) for overlap in _FULL.overlaps),
)
