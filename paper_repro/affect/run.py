"""The two experiments: which runs there are, and which published numbers they speak about."""

from collections.abc import Callable, Mapping
from functools import partial

from paper_repro.affect.config import AffectConfig
from paper_repro.affect.fitting import JOINT, METHODS, RELEASED, Epoch, Parts, Sequences, fit
from paper_repro.experiment import Experiment, Series, Task
from paper_repro.readers import iemocap, opinions
from paper_repro.readers.files import folder_named_by

PAPER = "Guo et al. 2024, arXiv 2411.01409"
QUICK = {
    "epochs": 1,
    "batch_size": 4,
    "width": 8,
    "heads": 2,
    "layers": 1,
    "classifier_layers": 1,
    "seeds": 1,
}


def read_mosi() -> Parts:
    """Read the published parts of CMU-MOSI."""
    found = opinions.read_opinions(opinions.named(opinions.MOSI))
    return Parts(**{name: Sequences(part.inputs, part.scores) for name, part in found.items()}, outputs=1)


def read_iemocap() -> Parts:
    """Read the parts of IEMOCAP's fold 1, which the released code uses."""
    found = iemocap.read_iemocap(folder_named_by(iemocap.FOLDER))
    parts = {name: Sequences(part.inputs, part.emotions) for name, part in found.items()}
    return Parts(**parts, outputs=len(iemocap.CLASSES))


def tasks(read: Callable[[], Parts], config: AffectConfig) -> Mapping[str, Task]:
    """Name every run; each is independent of the others and serves both protocols."""
    return {
        f"{method}, seed {seed}": partial(run, read, config, method, seed)
        for method in METHODS
        for seed in range(config.seeds)
    }


def run(read: Callable[[], Parts], config: AffectConfig, method: str, seed: int) -> dict[str, float]:
    """Train once, and report the epoch of best validation accuracy as either protocol does."""
    best = chosen(fit(read(), config, method, seed))
    protocols = {"released": best.valid, "validated": best.test}
    return {
        f"{protocol}, {method}, {metric}": value
        for protocol, scores in protocols.items()
        for metric, value in scores.items()
        if metric != "loss"
    }


def chosen(epochs: list[Epoch]) -> Epoch:
    """Return the epoch of best validation accuracy; of several, the first."""
    return max(epochs, key=lambda epoch: epoch.valid["accuracy"])


def _series(metrics: Mapping[str, str], rows: Mapping[str, str]) -> tuple[Series, ...]:
    parts = {"released": "validation part, as the released code", "validated": "test part"}
    return tuple(
        Series(
            f"{protocol}, {method}, {metric}",
            f"{method}: {words} on the {part}; epoch of best validation accuracy",
            row=rows.get(f"{protocol}, {method}, {metric}"),
        )
        for metric, words in metrics.items()
        for protocol, part in parts.items()
        for method in METHODS
    )


MOSI = Experiment(
    name="cggm-mosi",
    folder="affect/mosi",
    title="CGGM on CMU-MOSI, text, voice and face",
    paper=PAPER,
    unit="accuracy, percent, and mean absolute error, as each series says",
    full=AffectConfig(),
    quick=AffectConfig(**QUICK),
    tasks=partial(tasks, read_mosi),
    hours="15 runs of 30 epochs, on data that must be got first; not timed yet",
    series=_series(
        {"accuracy": "accuracy", "mae": "mean absolute error"},
        {
            f"validated, {RELEASED}, mae": "cggm-cmu-mosi-cggm",
            f"validated, {JOINT}, accuracy": "cggm-cmu-mosi-plain-joint-third-party-rerun",
            f"validated, {RELEASED}, accuracy": "cggm-cmu-mosi-cggm-third-party-rerun",
        },
    ),
)

IEMOCAP = Experiment(
    name="cggm-iemocap",
    folder="affect/iemocap",
    title="CGGM on IEMOCAP, text, voice and face",
    paper=PAPER,
    unit="accuracy, percent",
    full=AffectConfig(layers=4, residual=0.15, output=0.2),
    quick=AffectConfig(**QUICK),
    tasks=partial(tasks, read_iemocap),
    hours="15 runs of 30 epochs, on data that must be got first; not timed yet",
    series=_series({"accuracy": "accuracy"}, {f"released, {RELEASED}, accuracy": "cggm-iemocap-cggm"}),
)
