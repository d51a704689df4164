"""u over one training, with the known truth as dots: docs/uncertainty.png."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bogc.training.storage import write_atomically
from paper_repro.gradient_uncertainty.config import UncertaintyConfig
from paper_repro.gradient_uncertainty.training import DEFAULT, watch_training

FILE: Final = "headline.json"
DATASET, BATCH, TRAINER, SEED = "watch", 64, "bogc", 0
CONFIG: Final = replace(UncertaintyConfig(), moments=(4, 10, *range(20, 200, 20), 195), former=())


def read_or_train(path: Path, config: UncertaintyConfig = CONFIG, dataset: str = DATASET) -> dict[str, Any]:
    """What was seen of the run: layer to loss to its first step, path of u, and true u by step.

    Trains for about a minute if there is no file.
    """
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    watch = [seen for seen, _, _ in watch_training(config, dataset, BATCH, TRAINER, SEED)][-1]
    seen: dict[str, Any] = {}
    for (source, layer), u in watch.paths[DEFAULT].items():
        known = watch.true_u((source, layer))
        seen.setdefault(layer, {})[source] = {
            "first": min(watch.truths),
            "path": [round(value, 3) for value in u],
            "truth": {str(step): round(value, 3) for step, value in known.items()},
        }
    write_atomically(path, lambda file: file.write(json.dumps(seen).encode() + b"\n"))
    return seen
