"""Finished runs without any training: fit.json and result.json as a comparison reads them."""

import json
from pathlib import Path
from typing import Any

from bogc.training import TrainConfig


def write(folder: Path, name: str, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def fitted(root: Path, config: TrainConfig, accuracy: float, nll: float = 1.0) -> dict[str, Any]:
    content = {
        "config": config.to_mapping(),
        "validation": {"accuracy": accuracy, "nll": nll},
        "seconds_per_step": 0.01,
        "peak_step_bytes": 2_000_000,
    }
    write(root / config.run_name, "fit.json", content)
    return content


def diverged(root: Path, config: TrainConfig, name: str = "fit.json") -> None:
    write(root / config.run_name, name, {"config": config.to_mapping(), "diverged": "gradient ..."})


def done(root: Path, config: TrainConfig, accuracy: float, validation: float = 0.5) -> None:
    test = {
        "fused": {"accuracy": accuracy, "macro_f1": 0.5, "nll": 0.4, "calibration_error": 0.1},
        "probes": {"audio": accuracy - 0.1, "video": accuracy - 0.3},
        "without": {"audio": accuracy - 0.4, "video": accuracy - 0.2},
    }
    content = fitted(root, config, validation)
    write(root / config.run_name, "result.json", content | {"test": test})
