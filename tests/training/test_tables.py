import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bogc.training import TrainConfig, tables
from bogc.training.compare import Comparison
from bogc.training.statistics import paired_difference

PLAN = Comparison(TrainConfig(folds=4), ("joint", "sum", "bogc"), (0, 1, 2, 3), (0, 1), (0.02,))
ACCURACY = {
    "joint": [0.80, 0.70, 0.90, 0.85],
    "sum": [0.81, 0.73, 0.90, 0.87],
    "bogc": [0.70, 0.61, 0.79, 0.75],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for trial in PLAN.trials():
        for seed in PLAN.seeds:
            config = replace(trial, seed=seed)
            fused = {"accuracy": ACCURACY[trial.method][trial.fold] + 0.01 * (2 * seed - 1)}
            fused |= {"macro_f1": 0.5, "nll": 0.4, "calibration_error": 0.1}
            result = {
                "config": config.to_mapping(),
                "validation": {"accuracy": 0.5, "nll": 1.0},
                "test": {"fused": fused},
                "seconds_per_step": 0.01,
            }
            (tmp_path / config.run_name).mkdir()
            (tmp_path / config.run_name / "result.json").write_text(json.dumps(result))
    return tmp_path


def test_rows_are_over_folds_with_seeds_averaged(root: Path):
    joint, total, bogc = tables.rows(PLAN, root)
    assert joint.accuracy.mean == pytest.approx(0.8125)
    assert total.differences["joint"].mean == pytest.approx(0.015)
    expected = paired_difference(ACCURACY["bogc"], ACCURACY["sum"])
    assert bogc.differences["sum"].mean == pytest.approx(expected.mean)
    assert bogc.differences["sum"].half == pytest.approx(expected.half)
    assert joint.differences.keys() == {"sum"}
    assert (joint.milliseconds, joint.rates, joint.diverged) == (pytest.approx(10.0), (0.02,), 0)


def test_table_fits_a_terminal_and_markdown_has_every_column(root: Path):
    rows = tables.rows(PLAN, root)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(tables.rich_table("title", rows))
    assert "…" not in console.export_text()
    lines = tables.markdown(rows).splitlines()
    assert len(lines) == 5
    assert {line.count("|") for line in lines} == {len(tables.HEADER) + 1}
    assert "81.2 ± 13.6" in lines[2]


def test_verdict_says_what_the_intervals_say(root: Path):
    text = tables.verdict(tables.rows(PLAN, root))
    assert "bogc against joint: -10.00 points, 95 % interval ± 1.30: worse." in text
    assert "bogc against sum" in text


@pytest.mark.parametrize(
    ("own", "other", "word"),
    [
        ([0.9, 0.8, 0.7], [0.8, 0.7, 0.59], "better"),
        ([0.9, 0.7], [0.8, 0.8], "no difference shown"),
        ([0.9], [0.8], "single fold"),
    ],
)
def test_judgement(own: list[float], other: list[float], word: str):
    assert word in tables._judge(paired_difference(own, other))


def test_without_bogc_there_is_no_verdict(root: Path):
    plan = replace(PLAN, methods=("joint", "sum"))
    assert tables.verdict(tables.rows(plan, root)) == ""
