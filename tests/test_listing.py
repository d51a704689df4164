import json
import re
from functools import partial
from unittest.mock import patch

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from bogc import listing
from bogc.cli import app
from bogc.data import DATASETS
from bogc.methods import METHODS
from bogc.training import cost


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(*arguments: str, columns: int = 200) -> str:
    with patch.object(listing, "console", Console(width=columns)):
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("columns", [80, 200])
def test_methods_lists_every_method_with_its_name_in_full(columns: int):
    output = run("methods", columns=columns)
    for name in METHODS:
        assert re.search(rf" {name}[ │]", output), name


def test_methods_say_source_needs_and_passes():
    output = run("methods")
    for spec in METHODS.values():
        for text in (spec.summary, spec.paper, spec.needs, spec.passes):
            assert text in output


def test_measured_costs_end_each_row_and_a_refusal_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listing, "step_costs", partial(listing.step_costs, rounds=1))
    monkeypatch.setattr(cost, "WARMUP", 1)
    output = run("methods", "--measure", "--batch-size", "8", "--features", "4")
    rows = {line.split()[1]: line for line in output.splitlines() if len(line.split()) > 1}
    assert float(rows["sum"].split()[-2]) == 1.0
    assert float(rows["bogc"].split()[-2]) > 0
    assert "must have a 4-D weight" in output


def test_info_names_versions_methods_and_data_sets():
    output = run("info")
    for part in ("torch", "python", *METHODS, *DATASETS):
        assert part in output


def test_data_commands():
    assert "watch" in run("data", "list")
    assert "150 samples, ready" in run("data", "fetch", "tests.tiny:load")
    assert json.loads(run("data", "describe", "tests.tiny:load"))["samples"] == 150
