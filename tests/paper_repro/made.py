"""Small ledger rows, experiments and results."""

from dataclasses import dataclass
from pathlib import Path

from bogc.training.storage import write_json
from paper_repro.experiment import Experiment, Series
from paper_repro.ledger import Published
from paper_repro.results import FILE


@dataclass(frozen=True)
class Settings:
    seeds: int = 5
    level: float = 10.0


def published(
    value: str = "10.0", spread: str = "", provenance: str = "paper-table", **others: str
) -> Published:
    fields = {
        "row": "r",
        "paper": "Paper 2020",
        "table": "Table 1",
        "dataset": "data",
        "metric": "mse",
        "method": "method | m",
        "source": "arXiv",
        "note": "",
    }
    return Published(**{**fields, **others}, value=value, spread=spread, provenance=provenance)


def tasks(config: Settings):
    return {
        f"seed {seed}": lambda seed=seed: {"level": config.level + seed / 1000}
        for seed in range(config.seeds)
    }


def experiment(row: str = "r", exact: float | None = 9.9) -> Experiment:
    return Experiment(
        name="made",
        folder="made",
        title="A level",
        paper="Paper 2020",
        unit="mse",
        full=Settings(),
        quick=Settings(seeds=2),
        tasks=tasks,
        series=(Series("level", "the level", row=row, exact=exact), Series("other", "never measured")),
    )


def write_results(folder: Path, values: list[float]) -> Path:
    run = {"seconds": 1.0, "date": "2020-01-01", "hardware": "abacus", "versions": {"bogc": "0"}}
    path = folder / "made" / FILE
    write_json(
        path,
        {
            "experiment": "made",
            "config": {"seeds": len(values)},
            "config_hash": "0123456789",
            "runs": {f"seed {i}": {**run, "values": {"level": value}} for i, value in enumerate(values)},
        },
    )
    return path
