from dataclasses import replace
from pathlib import Path

import matplotlib.image
import pytest
import torch

from bogc.training import TrainConfig, train
from bogc.training.pictures import COLOURS, draw_run, learning_curves
from tests import tiny

CONFIG = TrainConfig(
    dataset="tests.tiny:load", epochs=2, batch_size=16, features=8, device="cpu", log_every=2
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    root = tmp_path_factory.mktemp("runs")
    torch.set_default_dtype(torch.float32)
    folders = {method: [root / method] for method in ("joint", "bogc")}
    for method, (folder,) in folders.items():
        train(replace(CONFIG, method=method), tiny.load(), folder)
    return folders


def assert_is_a_picture_with_content(path: Path) -> None:
    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 100
    assert pixels.std() > 0.01


def test_bogc_gets_every_picture(runs: dict[str, list[Path]]):
    drawn = draw_run(runs["bogc"][0])
    names = ["learning_curves", "uncertainty", "weights", "conflict", "histograms", "probes"]
    assert [path.stem for path in drawn] == names
    for path in drawn:
        assert_is_a_picture_with_content(path)


def test_a_method_without_opinions_gets_those_that_apply(runs: dict[str, list[Path]]):
    assert [path.stem for path in draw_run(runs["joint"][0])] == ["learning_curves", "probes"]


def test_no_source_is_dropped_when_there_are_more_than_colours():
    losses = {f"source-{i}": 1.0 for i in range(len(COLOURS) + 3)}
    epoch = {"epoch": 0, "losses": losses, "validation": {"nll": 1.0, "accuracy": 0.5, "macro_f1": 0.5}}
    assert len(learning_curves([epoch, epoch | {"epoch": 1}]).axes[0].get_lines()) == len(losses) + 1
