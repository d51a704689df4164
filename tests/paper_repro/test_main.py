from pathlib import Path

import pytest
from typer.testing import CliRunner

from bogc.errors import ClusterError, ConfigError
from bogc.training import spread
from paper_repro.__main__ import app, chosen, main
from paper_repro.experiments import EXPERIMENTS


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False, env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    return result.output


def test_list_shows_every_experiment_and_how_far_it_is(tmp_path: Path):
    text = invoke("list", "--folder", str(tmp_path))
    assert all(name in text for name in EXPERIMENTS)
    assert "0 of 10" in text


def test_quick_run_then_report(tmp_path: Path):
    folder = ("--folder", str(tmp_path))
    assert "2 runs in" in invoke("run", "huang-simulation", "--quick", "--jobs", "1", *folder)
    assert "seed 0" not in invoke("run", "huang-simulation", "--quick", *folder)  # already there
    assert "REPRODUCTION.md" in invoke("report", *folder)
    text = (tmp_path / "REPRODUCTION.md").read_text(encoding="utf-8")
    assert "inconclusive: 2 of at least 5 runs" in text
    assert "| reproduced | 0 | 0 |" in text


def test_a_cluster_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spread, "CONNECT_SECONDS", 0.2)
    with pytest.raises(ClusterError, match="cluster "):
        invoke(
            "run", "huang-simulation", "--quick", "--folder", str(tmp_path), "--cluster", "tcp://127.0.0.1:1"
        )
    assert not list(tmp_path.iterdir())


def test_all_leaves_out_what_takes_hours():
    names = {experiment.name for experiment in chosen("all")}
    assert names == {name for name, experiment in EXPERIMENTS.items() if not experiment.hours}
    assert "mnist-halves" not in names
    assert [experiment.name for experiment in chosen("mnist-halves")] == ["mnist-halves"]


def test_an_unknown_experiment_is_an_error_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.argv", ["paper_repro", "run", "tmc"])
    with pytest.raises(SystemExit, match="1"):
        main()
    shown = capsys.readouterr().err
    assert "ConfigError: name must be one of" in shown
    assert "Traceback" not in shown


def test_the_error_is_typed():
    with pytest.raises(ConfigError, match="name must be one of"):
        CliRunner().invoke(app, ["run", "tmc"], catch_exceptions=False)
