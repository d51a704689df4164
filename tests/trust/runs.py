"""One small run, for tests of what is kept of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bogc.data import MultimodalDataset
from bogc.training import TrainConfig
from bogc.training.loop import fit, prepare
from bogc.training.stopping import Asked, never
from tests import tiny

CONFIG = TrainConfig(
    dataset="tests.tiny:load", method="sum", epochs=2, batch_size=30, features=2, device="cpu", log_every=1
)


def fitted(
    config: TrainConfig, folder: Path, data: MultimodalDataset | None = None, asked: Asked = never
) -> dict[str, Any]:
    return fit(config, prepare(config, data or tiny.load()), folder, asked=asked)


def asked_after(steps: int) -> Asked:
    """Ask to stop when ``steps`` steps are done."""
    left = iter(range(steps))
    return lambda: "" if next(left, None) is not None else "SIGTERM"


def stopped(config: TrainConfig, folder: Path, steps: int = 1) -> None:
    """Leave a run that was stopped after some steps."""
    from bogc.errors import StoppedError

    try:
        fitted(config, folder, asked=asked_after(steps))
    except StoppedError:
        return
    raise AssertionError("the run did not stop")


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
    return found


def other(data: MultimodalDataset, kind: str) -> MultimodalDataset:
    """The data set after something has happened to it."""
    x = {name: value.clone() for name, value in data.inputs.items()}
    match kind:
        case "a value":
            x["vector"][7, 3] += 1e-6
            return replace(data, inputs=x)
        case "a label":
            targets = data.targets.clone()
            targets[[0, 1]] = targets[[1, 0]]
            return replace(data, targets=targets)
        case "fewer samples":
            return data.subset(torch.arange(60))
        case "the order of classes":
            return replace(data, class_names=data.class_names[::-1])
        case "the order of modalities":
            return replace(data, inputs=dict(reversed(x.items())))
        case _:
            return replace(data, groups=torch.arange(len(data)) // 2)
