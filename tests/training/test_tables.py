import io
from dataclasses import replace

import pytest
from rich.console import Console

from bogc.training import TrainConfig, tables
from bogc.training.compare import Comparison

from .lines import LINES

PLAN = Comparison(TrainConfig(), ("joint", "sum"), (0, 1, 2, 3, 4), (0, 1, 2), 8)
DIVERGED = replace(
    LINES[1],
    method="mmpareto",
    folds=0,
    validation=None,
    accuracy=None,
    joint=None,
    sibling=None,
    macro_f1=None,
    nll=None,
    calibration_error=None,
    without={},
    probes={},
    milliseconds=None,
    megabytes=None,
    chosen=(),
    diverged_trials=40,
)


def shown(table: object) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def body(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines()]


def test_six_modalities_wrap_and_no_name_is_cut():
    share = dict.fromkeys(("fou", "fac", "kar", "pix", "zer", "mor"), LINES[0].without["audio"])
    lines = [replace(line, method="mmpareto-released", without=share, probes=share) for line in LINES]
    text = shown(tables.modality_table(lines))
    assert text.count("mmpareto-released") == 3
    assert "…" not in text


def test_tables_fit_a_terminal():
    for table in (tables.main_table(PLAN, [*LINES, DIVERGED]), tables.modality_table([*LINES, DIVERGED])):
        text = shown(table)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= 80
        for method in ("joint", "sum", "bogc", "mmpareto"):
            assert method in text


def test_markdown_has_every_column():
    header, _, joint, total, bogc, diverged = body(tables.markdown(PLAN, [*LINES, DIVERGED]))
    assert tuple(header) == tables.HEADER
    named = dict(zip(header, bogc, strict=True))
    assert named["accuracy %"] == "81.2 ± 13.6"
    assert named["- joint"] == "-10.0 ± 1.3"
    assert (named["p"], named["p, sibling"]) == ("<0.001", "0.010")
    assert (named["ms/step"], named["MB/step"]) == ("12.3", "5.68")
    assert joint[2] == joint[3] == ""
    assert total[3] == "0.400"
    assert diverged == ["mmpareto", "diverged", *[""] * 9]


def test_missing_folds_are_said():
    cells = tables.cells(replace(LINES[0], folds=3), 5)
    assert cells["accuracy %"] == "81.2 ± 13.6 (3 of 5 folds)"


def test_modalities_with_intervals_and_probes():
    header, _, joint, *_, diverged = body(tables.modality_markdown([*LINES, DIVERGED]))
    assert header[1:3] == ["without audio %", "without video %"]
    assert joint == ["joint", "41.0 ± 2.0", "62.0 ± 3.0", "70.0", "50.0", "60.0"]
    assert diverged == ["mmpareto", *[""] * 5]


def test_settings_and_budget():
    settings = tables.settings_markdown(PLAN, LINES[:1])
    assert body(settings)[2] == ["joint", "lr", "log-uniform on 0.001 to 0.5", "0.01, 0.02, 0.03, 0.04, 0.05"]
    assert "8 trial(s) a method and fold, 100 runs" in tables.title(PLAN)
    fixed = replace(PLAN, budget=1)
    assert "no search, 30 runs" in tables.title(fixed)
    assert set(tables.search_lines(fixed, "bogc").values()) == {"not searched"}


def test_notes_name_the_best_sibling_and_what_diverged():
    text = tables.notes(PLAN, [*LINES, DIVERGED], {"cggm": "no linear layer"})
    assert "Best sibling by validation accuracy: sum; of sum itself: joint." in text
    assert "mmpareto: 40 of 40 trials diverged, 0 of the runs with chosen settings." in text
    assert "Left out: cggm: no linear layer" in text
    assert "Best sibling" not in tables.notes(PLAN, [replace(LINES[0], sibling=None)], {})


@pytest.mark.parametrize("lines", [[], [DIVERGED]])
def test_nothing_to_show_is_no_error(lines: list):
    assert shown(tables.main_table(PLAN, lines))
    assert shown(tables.modality_table(lines))
    assert tables.modality_markdown(lines).startswith("| method |")
