import json
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import pytest
import torch

from bogc.training import TrainConfig, pictures, train
from bogc.training.pictures import COLOURS, draw_comparison, draw_run, learning_curves
from bogc.training.statistics import Interval
from bogc.training.summary import Row
from tests import tiny

from .lines import LINES

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


def test_epochs_are_whole_numbers():
    epoch = {"losses": {"fusion": 1.0}, "validation": {"nll": 1.0, "accuracy": 0.5, "macro_f1": 0.5}}
    for axis in learning_curves([epoch | {"epoch": e} for e in range(3)]).axes:
        assert [place for place in axis.get_xticks() if place != round(place)] == []


NAMES = ["curves", "accuracy", "modalities", "cost", "forest"]


def method(name: str, index: int) -> Row:
    line = replace(LINES[0] if name == "joint" else LINES[1], method=name, milliseconds=5.0 + index)
    return replace(line, probes={m: Interval(0.5 + 0.01 * index, 0.1) for m in "abcdef"})


@pytest.fixture(scope="module")
def lines() -> list[Row]:
    return [method("joint" if i == 0 else f"method-{i}", i) for i in range(18)]


@pytest.fixture(scope="module")
def tested(lines: list[Row], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    root = tmp_path_factory.mktemp("runs")
    for line in lines:
        for seed, epochs in enumerate((6, 4)):
            folder = root / f"{line.method}-{seed}"
            folder.mkdir()
            records = [
                {"kind": "epoch", "step": e, "validation": {"accuracy": 0.1 * e}} for e in range(epochs)
            ]
            (folder / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
            (folder / "result.json").write_text(json.dumps({"test": {"fused": {"accuracy": 0.8}}}))
    return {line.method: [root / f"{line.method}-{seed}" for seed in range(2)] for line in lines}


def test_every_picture_has_content_for_many_methods(
    lines: list[Row], tested: dict[str, list[Path]], tmp_path: Path
):
    drawn = draw_comparison(tmp_path, lines, tested)
    assert [p.stem for p in drawn] == [f"comparison_{name}" for name in NAMES]
    for path in drawn:
        pixels = matplotlib.image.imread(path)
        assert min(pixels.shape[:2]) > 100
        assert pixels.std() > 0.01


def test_no_method_is_dropped(lines: list[Row], tested: dict[str, list[Path]]):
    names = [line.method for line in lines]
    assert len(names) > len(COLOURS)
    curves = pictures.validation_curves(tested)
    assert [axis.get_title() for axis in curves.axes if axis.get_visible()] == names
    for figure in (pictures.accuracies(lines, tested), pictures.modalities(lines)):
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
    forest = pictures.forest(lines)
    assert [label.get_text() for label in forest.axes[0].get_yticklabels()] == names[1:]
    points = pictures.cost(lines).axes[0].get_lines()
    assert [point.get_label() for point in points] == names
    assert len({(point.get_color(), point.get_marker()) for point in points}) == len(names)


def test_what_there_is_no_data_for_is_left_out(
    lines: list[Row], tested: dict[str, list[Path]], tmp_path: Path
):
    alone = [replace(lines[0], accuracy=Interval(0.8, None))]
    drawn = draw_comparison(tmp_path, alone, {"joint": tested["joint"]})
    assert [p.stem for p in drawn] == [f"comparison_{name}" for name in NAMES[:-1]]
    assert draw_comparison(tmp_path, [replace(lines[0], accuracy=None)], {}) == []


def test_one_fold_promises_no_interval(lines: list[Row], tested: dict[str, list[Path]]):
    alone = [
        replace(
            line,
            accuracy=line.accuracy and replace(line.accuracy, half=None),
            joint=line.joint and replace(line.joint, interval=replace(line.joint.interval, half=None)),
        )
        for line in lines
    ]
    for draw in (pictures.forest, lambda given: pictures.accuracies(given, tested)):
        one, several = (draw(given).axes[0].get_xlabel() for given in (alone, lines))
        assert "one fold, no interval" in one
        assert "95 % interval" in several


def test_one_modality_cannot_be_removed(lines: list[Row]):
    single = [replace(line, probes={"a": Interval(0.5, 0.1)}, without={}) for line in lines]
    left, right = pictures.modalities(single).axes
    assert len(left.texts) == len(lines)
    assert len(right.texts) == 0
