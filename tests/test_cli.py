import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bogc.cli import app
from bogc.errors import CheckpointError, ConfigError

FLAGS = [
    "--dataset",
    "tests.tiny:load",
    "--epochs",
    "2",
    "--batch-size",
    "8",
    "--features",
    "4",
    "--folds",
    "3",
]
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    "command", [[], ["train"], ["compare"], ["evaluate"], ["data"], ["data", "fetch"], ["info"]]
)
def test_help_of_every_command(command: list[str]):
    assert "Usage" in run(*command, "--help")


@pytest.mark.parametrize("command", ["train", "compare", "evaluate"])
def test_help_has_examples(command: str):
    assert f"bogc {command} " in run(command, "--help").split("Options")[0]


def test_train_then_evaluate_agree(tmp_path: Path):
    output = run("train", *FLAGS, "--log-every", "1", "--out", str(tmp_path))
    (folder,) = tmp_path.iterdir()
    assert "linear probe of vector" in output
    assert str(folder) in output.replace("\n", "")
    assert (folder / "pictures" / "uncertainty.png").exists()
    accuracy = json.loads((folder / "result.json").read_text())["test"]["fused"]["accuracy"]
    assert f"{accuracy:.4f}" in run("evaluate", str(folder))


def test_compare_prints_a_table_and_is_resumable(tmp_path: Path):
    arguments = ["compare", *FLAGS, "--methods", "joint,bogc", "--only-folds", "0,2", "--seeds", "1"]
    arguments += ["--rates", "0.02,0.1", "--jobs", "1", "--out", str(tmp_path)]
    output = run(*arguments)
    assert "bogc against joint:" in output
    assert (tmp_path / "table.md").read_text().count("\n| bogc") == 1
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["method"] for row in table["rows"]] == ["joint", "bogc"]
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/result.json")}
    assert len(before) == 8
    run(*arguments)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/result.json")} == before


def test_compare_rejects_what_it_does_not_know(tmp_path: Path):
    with pytest.raises(ConfigError, match="methods must be one of joint, sum, bogc; found 'adam'"):
        run("compare", *FLAGS, "--methods", "joint,adam", "--out", str(tmp_path))
    result = CliRunner().invoke(app, ["compare", *FLAGS, "--rates", "fast", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "comma-separated list of numbers" in result.output.replace("\n", " ")
    assert not list(tmp_path.iterdir())


def test_evaluate_needs_a_finished_run(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"must hold config.json and best.pt; found no such files"):
        run("evaluate", str(tmp_path))


def test_data_commands():
    assert "watch" in run("data", "list")
    assert "150 samples, ready" in run("data", "fetch", "tests.tiny:load")
    assert json.loads(run("data", "describe", "tests.tiny:load"))["samples"] == 150


def test_info_lists_methods():
    output = run("info")
    for part in ("torch", "joint", "sum", "bogc", "2505.23071"):
        assert part in output


def test_errors_are_printed_without_traceback():
    command = [sys.executable, "-m", "bogc", "train", "--method", "adam"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "ConfigError: method must be one of joint, sum, bogc; found 'adam'" in done.stderr
    assert "Traceback" not in done.stderr
