import re
from pathlib import Path

import pytest

import paper_repro
from bogc.errors import ConfigError
from paper_repro.experiments import EXPERIMENTS, experiment_named
from paper_repro.ledger import read_published

ROOT = Path(paper_repro.__file__).parent


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_registered_by_its_name_with_a_folder_and_a_readme(name: str):
    experiment = EXPERIMENTS[name]
    assert experiment.name == name
    assert experiment_named(name) is experiment
    text = (ROOT / experiment.folder / "README.md").read_text(encoding="utf-8")
    assert f"python -m paper_repro run {name}" in text
    assert re.search(r"\| paper \| released code", text)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_series_answer_rows_that_exist_once(name: str):
    rows = [series.row for series in EXPERIMENTS[name].series if series.row]
    assert len(set(rows)) == len(rows)
    assert set(rows) <= {row.row for row in read_published()}


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ConfigError, match="Did you mean 'huang-simulation'"):
        experiment_named("huang-simulatoin")
