import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bogc.errors import DataError, RunError, StateError
from bogc.training.spread import Workers
from paper_repro.results import FILE, carry_out, finished, read_results
from tests.paper_repro.made import Settings, experiment, tasks


def test_every_run_is_kept_and_read_back(tmp_path: Path):
    path, heard = tmp_path / "deep" / FILE, []
    results = carry_out(experiment(), Settings(seeds=3), path, lambda name, run: heard.append(name))
    assert heard == ["seed 0", "seed 1", "seed 2"]
    assert results.values_of("level") == {"seed 0": 10.0, "seed 1": 10.001, "seed 2": 10.002}
    assert read_results(path) == results
    assert results.config == {"seeds": 3, "level": 10.0}


def test_an_interrupted_experiment_goes_on_where_it_stopped(tmp_path: Path):
    carried: list[str] = []

    def failing(config: Settings):
        def task(name: str):
            carried.append(name)
            if name == "seed 1" and carried.count(name) == 1:
                raise KeyboardInterrupt
            return {"level": 1.0}

        return {name: lambda name=name: task(name) for name in tasks(config)}

    made, path = replace(experiment(), tasks=failing), tmp_path / FILE
    with pytest.raises(KeyboardInterrupt):
        carry_out(made, Settings(seeds=3), path)
    assert list(read_results(path).runs) == ["seed 0"]
    carry_out(made, Settings(seeds=3), path)
    assert carried == ["seed 0", "seed 1", "seed 1", "seed 2"]
    before = path.read_bytes()
    carry_out(made, Settings(seeds=3), path)
    assert path.read_bytes() == before


def test_values_and_their_order_do_not_depend_on_the_number_of_processes(tmp_path: Path):
    config = Settings(seeds=4)
    one = carry_out(experiment(), config, tmp_path / "one" / FILE, workers=Workers(jobs=1))
    heard: list[str] = []
    two = carry_out(
        experiment(), config, tmp_path / "two" / FILE, lambda name, _: heard.append(name), Workers(jobs=2)
    )
    assert sorted(heard) == list(one.runs) == list(two.runs)
    assert [run.values for run in one.runs.values()] == [run.values for run in two.runs.values()]
    assert read_results(tmp_path / "two" / FILE) == two


def test_a_failure_names_the_run_and_the_finished_ones_are_kept(tmp_path: Path):
    def failing(config: Settings):
        return {**tasks(Settings(seeds=1)), "broken": lambda: {"level": dict[str, float]()["lost"]}}

    with pytest.raises(RunError, match=r"^run broken must finish; found KeyError: .* Mend that"):
        carry_out(replace(experiment(), tasks=failing), Settings(), tmp_path / FILE)
    assert list(read_results(tmp_path / FILE).runs) == ["seed 0"]


def test_what_measures_time_runs_here_one_after_another(tmp_path: Path):
    made = replace(
        experiment(),
        timed=True,
        tasks=lambda config: {f"run {i}": lambda: {"pid": os.getpid()} for i in "ab"},
    )
    results = carry_out(made, Settings(), tmp_path / FILE, workers=Workers(cluster="tcp://nobody:1"))
    assert {run.values["pid"] for run in results.runs.values()} == {os.getpid()}


def test_results_of_another_configuration_are_refused_and_kept(tmp_path: Path):
    path = tmp_path / FILE
    carry_out(experiment(), Settings(seeds=2), path)
    before = path.read_bytes()
    with pytest.raises(StateError, match=r"must hold results of made, configuration .*--folder"):
        carry_out(experiment(), Settings(seeds=3), path)
    with pytest.raises(StateError, match="must hold results of other"):
        carry_out(replace(experiment(), name="other"), Settings(seeds=2), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": {"a": {}}}', '{"runs": {}}', '{"runs": 3}'])
def test_a_damaged_file_is_refused(text: str, tmp_path: Path):
    path = tmp_path / FILE
    path.write_text(text)
    with pytest.raises(DataError, match="must be a file of results"):
        read_results(path)


def test_no_file_is_no_results(tmp_path: Path):
    assert read_results(tmp_path / FILE) is None


def test_a_run_says_when_and_with_what():
    run = finished({"a": 1.0}, 0.123)
    assert run.seconds == 0.12
    assert len(run.date.split("-")) == 3
    assert {"bogc", "torch", "python"} <= run.versions.keys()
    assert "GPU" in run.hardware
    assert "date" not in run.versions
    assert json.dumps(run.values) == '{"a": 1.0}'
