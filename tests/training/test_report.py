import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bogc.errors import CheckpointError, UnsuitableError
from bogc.training import TrainConfig, train
from bogc.training.report import table, write_report
from tests import tiny

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CONFIG = TrainConfig(
    dataset="tests.tiny:load", epochs=2, batch_size=16, features=8, device="cpu", log_every=2
)
INTERVAL = {"mean": 0.75, "half": 0.125}
ROW = {
    "method": "sum", "folds": 5, "accuracy": INTERVAL, "macro_f1": INTERVAL, "nll": INTERVAL, "joint": None,
    "milliseconds": 12.34, "megabytes": None, "diverged_trials": 2,
}  # fmt: skip
PAIRED = {"reference": "joint", "interval": INTERVAL, "p": 0.5, "corrected": 1.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_default_dtype(torch.float32)
    folder = tmp_path_factory.mktemp("runs") / "mine <b>"
    train(CONFIG, tiny.load(), folder)
    return folder


def compared(folder: Path, **changed: object) -> Path:
    rows = [ROW, ROW | {"method": "bogc", "joint": PAIRED}, ROW | {"method": "mimo", "accuracy": None}]
    kept = {"fits": 12, "rows": rows, "left_out": {"cggm": "network must <fit>"}} | changed
    (folder / "table.json").write_text(json.dumps(kept))
    return folder


def headings(text: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", text)


def test_a_run_shows_what_it_has_recorded(run: Path):
    text = write_report(run).read_text()
    expected = [
        "Learning curves",
        "Uncertainty",
        "Weight",
        "Conflict and fused uncertainty",
        "Test",
        "Settings",
    ]
    assert headings(text) == expected
    assert "<h1>mine &lt;b&gt;</h1>" in text
    assert "<td>batch_size</td><td>16</td>" in text
    assert "fusion.linear" in text


def test_a_run_that_is_not_finished_has_no_test(run: Path, tmp_path: Path):
    for name in ("records.jsonl", "config.json"):
        shutil.copy(run / name, tmp_path)
    assert "Test" not in headings(write_report(tmp_path).read_text())


def test_a_comparison_shows_its_methods_and_who_was_left_out(tmp_path: Path):
    text = write_report(compared(tmp_path)).read_text()
    expected = ["Test accuracy", "Difference to joint training", "Numbers", "Left out: cggm"]
    assert headings(text) == expected
    assert "over 5 folds" in text
    assert "network must &lt;fit&gt;" in text
    assert "<td>sum</td><td>5</td><td>75.0 ± 12.5</td>" in text
    assert "mimo" not in text  # it has no result


def test_one_fold_promises_no_interval(tmp_path: Path):
    alone = ROW | {"folds": 1, "accuracy": {"mean": 0.5, "half": None}}
    text = write_report(compared(tmp_path, rows=[alone])).read_text()
    assert "One fold: there is no interval." in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_pages_are_drawn_in_a_browser_without_an_error_and_load_nothing(run: Path, tmp_path: Path):
    for folder, pictures in ((run, 5), (compared(tmp_path), 2)):
        command = [
            str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            "--virtual-time-budget=10000", "--dump-dom", write_report(folder).as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        assert done.stdout.count('class="main-svg"') >= pictures
        assert "CONSOLE" not in done.stderr
        drawn = done.stdout.partition("</head>")[2]
        assert not re.findall(r'(?:src|href)="https?:', drawn)


def test_another_folder_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="must be the folder of a run or a comparison; found neither"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_plotly_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "plotly.subplots", None)
    monkeypatch.delitem(sys.modules, "bogc.training.report")
    with pytest.raises(UnsuitableError, match=r"report needs plotly.*pip install 'bogc\[report\]'"):
        importlib.import_module("bogc.training.report")


def test_cells_of_a_table_are_escaped():
    assert table(["a<b"], [["<script>"]]) == (
        "<table><tr><th>a&lt;b</th></tr><tr><td>&lt;script&gt;</td></tr></table>"
    )
