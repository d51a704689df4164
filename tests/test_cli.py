import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bogc.cli import app
from bogc.errors import CheckpointError, ClusterError, ConfigError
from bogc.training import spread

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
    "command",
    [
        [],
        ["train"],
        ["compare"],
        ["evaluate"],
        ["report"],
        ["data"],
        ["data", "fetch"],
        ["info"],
        ["methods"],
    ],
)
def test_help_of_every_command(command: list[str]):
    assert "Usage" in run(*command, "--help")


@pytest.mark.parametrize("command", ["train", "compare", "evaluate", "report", "methods"])
def test_help_has_examples(command: str):
    assert f"bogc {command} " in run(command, "--help").split("Options")[0]


def test_train_then_evaluate_agree(tmp_path: Path):
    output = run("train", *FLAGS, "--log-every", "1", "--out", str(tmp_path))
    (folder,) = tmp_path.iterdir()
    assert "linear probe of vector" in output
    assert str(folder) in output.replace("\n", "")
    assert (folder / "pictures" / "uncertainty.png").exists()
    accuracy = json.loads((folder / "result.json").read_text())["test"]["fused"]["accuracy"]
    again = run("evaluate", str(folder), "--latent-quality", "--dataset", "tests.tiny:load")
    assert f"{accuracy:.4f}" in again
    assert "Risk of the best head on frozen features" in again


def test_compare_prints_a_table_and_is_resumable(tmp_path: Path):
    arguments = ["compare", *FLAGS, "--methods", "joint,bogc", "--only-folds", "0,2", "--seeds", "1"]
    arguments += ["--budget", "2", "--jobs", "1", "--out", str(tmp_path)]
    output = run(*arguments)
    assert "2 trial(s) a method and fold, 8 runs in all." in output
    assert "About a minute of training on " in output
    assert "bogc against joint:" in output
    accuracies = (tmp_path / "table.md").read_text().split("\n\n")[1]
    assert accuracies.count("\n| bogc") == 1
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["method"] for row in table["rows"]] == ["joint", "bogc"]
    assert (table["budget"], table["fits"]) == (2, 8)
    assert table["search"]["joint"] == {"lr": "log-uniform on 0.001 to 0.5"}
    files = [*tmp_path.glob("*/fit.json"), *tmp_path.glob("*/result.json"), *tmp_path.glob("*/best.pt")]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert len(before) == 8 + 4 + 8  # of 8 fits the 4 chosen are tested
    run(*arguments)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_compare_rejects_what_it_does_not_know(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"method must be one of .*joint.*; found 'adam'"):
        run("compare", *FLAGS, "--methods", "joint,adam", "--out", str(tmp_path))
    result = CliRunner().invoke(
        app, ["compare", *FLAGS, "--only-folds", "first", "--out", str(tmp_path)], env={"COLUMNS": "150"}
    )
    assert result.exit_code == 2
    assert "comma-separated list of numbers" in result.output.replace("\n", " ")
    assert not list(tmp_path.iterdir())


def test_compare_without_its_cluster_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spread, "CONNECT_SECONDS", 0.2)
    arguments = ["compare", *FLAGS, "--methods", "sum", "--only-folds", "0", "--seeds", "1", "--budget", "1"]
    with pytest.raises(ClusterError, match="cluster "):
        run(*arguments, "--cluster", "tcp://127.0.0.1:1", "--out", str(tmp_path))
    with pytest.raises(ConfigError, match="jobs must be left out with a cluster"):
        run(*arguments, "--cluster", "tcp://127.0.0.1:1", "--jobs", "2", "--out", str(tmp_path))


def test_evaluate_needs_a_finished_run(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"must hold config.json and best.pt; found no such files"):
        run("evaluate", str(tmp_path))


def test_errors_are_printed_without_traceback():
    command = [sys.executable, "-m", "bogc", "train", "--method", "adam"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "ConfigError: method must be one of " in done.stderr
    assert "; found 'adam'" in done.stderr
    assert "Traceback" not in done.stderr


def test_brackets_in_an_error_are_printed(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "bogc",
        "train",
        "--config",
        str(tmp_path / "[bold]" / "bogc[peers].toml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "[bold]/bogc[peers].toml must be a readable TOML file" in done.stderr


def test_brackets_in_a_folders_name_are_printed(tmp_path: Path):
    output = run("train", *FLAGS, "--method", "joint", "--out", str(tmp_path / "[red]runs[peers]"))
    assert "[red]runs[peers]" in output.replace("\n", "")


def test_the_version_is_the_packages():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output.strip()) == (0, version("bogc"))
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {version('bogc')}\n" in citation
