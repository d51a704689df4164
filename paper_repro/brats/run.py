"""The experiment: which runs there are, and which published numbers they speak about."""

from collections.abc import Mapping
from functools import partial

from paper_repro.brats.config import BratsConfig
from paper_repro.brats.fitting import METHODS, RELEASED, fit
from paper_repro.experiment import Experiment, Series, Task
from paper_repro.readers.brats import FOLDER, PARTS, read_brats
from paper_repro.readers.files import folder_named_by


def tasks(config: BratsConfig) -> Mapping[str, Task]:
    """Name every run; each is independent of the others and serves both protocols."""
    return {
        f"{method}, seed {seed}": partial(run, config, method, seed)
        for method in METHODS
        for seed in range(config.seeds)
    }


def run(config: BratsConfig, method: str, seed: int) -> dict[str, float]:
    """Train once, and report the epoch of best validation dice (of several, the first) either way."""
    folder = folder_named_by(FOLDER)
    parts = {part: read_brats(folder, part, config.side) for part in PARTS}
    best = max(fit(parts, config, method, seed), key=lambda epoch: epoch.valid)
    return {f"released, {method}": best.valid, f"validated, {method}": best.test}


EXPERIMENT = Experiment(
    name="cggm-brats",
    folder="brats",
    title="CGGM on BraTS 2021, four kinds of MRI",
    paper="Guo et al. 2024, arXiv 2411.01409",
    unit="dice, percent",
    full=BratsConfig(),
    quick=BratsConfig(
        epochs=1, warm_up=0, batch_size=2, side=16, width=1, depths=(1, 1, 1), features=4, early=2, seeds=1
    ),
    tasks=tasks,
    hours="15 runs of 75 epochs of four ResNet-101, on data that must be got first; not timed yet",
    series=tuple(
        Series(
            f"{protocol}, {method}",
            f"{method}: mean dice of three regions, {part}; epoch of best validation dice",
            row="cggm-brats-2021-cggm" if (protocol, method) == ("released", RELEASED) else None,
        )
        for protocol, part in {"released": "validation patients", "validated": "test patients"}.items()
        for method in METHODS
    ),
)
