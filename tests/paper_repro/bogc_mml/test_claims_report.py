import re
from dataclasses import asdict

import pytest

from paper_repro.bogc_mml.claims import CLEAN, EXPERIMENT, key, tasks
from paper_repro.bogc_mml.claims_report import (
    PANELS,
    Pair,
    blocks,
    picture,
    scores_of,
    summary,
    table,
    verdict,
    word,
)
from paper_repro.bogc_mml.contestants import CONTESTANTS, REFERENCE
from paper_repro.document import Paragraph, Table
from paper_repro.results import Results, Run

FULL = EXPERIMENT.full


def made(lead: float, folds: int = 3, unfinished: str = "") -> Results:
    """The plain sum at about .5 and bogc above it by a lead; all others are as the plain sum."""
    runs = {}
    for number, name in enumerate(tasks(FULL)):
        cell, contestant = name.split(": ")
        dataset, *middle, optimiser, fold = cell.split(", ")
        if int(fold[-1]) >= folds or contestant == unfinished or CONTESTANTS[contestant].slow:
            continue
        place = f"{dataset}, {', '.join(middle)}, {optimiser}"
        share = 0.5 + 0.01 * int(fold[-1]) + 0.0005 * (number % 3)
        if contestant == "bogc":
            share += lead
        values = {key(place, contestant, "accuracy"): share}
        if middle == [CLEAN]:
            values[key(place, contestant, "missing")] = share - 0.1
        runs[name] = Run(values, 1.0, "2026-01-01", "none", {})
    return Results(EXPERIMENT.name, asdict(FULL), "x", runs)


@pytest.mark.parametrize(
    ("lead", "says"), [(0.06, "better than"), (-0.06, "worse than"), (0.0, "equivalent to")]
)
def test_verdicts_say_what_was_put_in(lead: float, says: str):
    scores = scores_of(made(lead), (CLEAN, "sgd"))
    text = summary(scores)
    assert text.startswith(f"`bogc` is {says}")
    assert "`bogc, filtered` is equivalent to" in text
    assert "laplace" not in text


def test_nothing_is_decided_where_data_sets_disagree():
    assert word(verdict({"bogc": {"a": {0: 0.6}, "b": {0: 0.4}}, REFERENCE: {"a": {0: 0.5}, "b": {0: 0.5}}},
                        Pair("bogc", REFERENCE))) == "not decided against"  # fmt: skip


def test_tables_show_accuracy_by_data_set_and_the_difference_with_its_probabilities():
    found = table(scores_of(made(0.06), (CLEAN, "adamw")))
    assert found.header[:3] == ("contestant", "watch", "mfeat")
    rows = {row[0]: row for row in found.rows}
    assert rows[REFERENCE][-4:] == ("", "", "", "")
    assert rows["bogc"][-4].startswith(("+6.0 (+", "+6.1 (+"))
    assert float(rows["bogc"][-1]) > 0.95
    assert sum(float(value) for value in rows["joint"][-3:]) == pytest.approx(1, abs=0.02)


def test_only_folds_that_all_have_finished_count():
    assert scores_of(made(0.0, unfinished="joint"), (CLEAN, "sgd")) == {}
    results = made(0.0)
    kept = {name: run for name, run in results.runs.items() if name != "watch, clean, sgd, fold 2: joint"}
    scores = scores_of(Results(results.experiment, results.config, "x", kept), (CLEAN, "sgd"))
    assert {len(found["watch"]) for found in scores.values()} == {2}
    assert {len(found["mfeat"]) for found in scores.values()} == {3}


def test_the_average_is_over_conditions_and_optimisers():
    scores = scores_of(made(0.06), ("average", "both"))
    assert scores["bogc"]["kipan"][1] == pytest.approx(0.57, abs=0.001)


def test_the_report_has_a_table_a_panel_and_says_how_many_folds_it_stands_on():
    found = blocks(made(0.06))
    tables = [block for block in found if isinstance(block, Table)]
    assert len(tables) == 2 * len(PANELS)
    row = dict(zip(tables[1].header, tables[1].rows[0], strict=True))
    assert row.pop("by data set, 95 %") == "bogc - plain sum"
    assert row.keys() == {"watch", "mfeat", "emoji", "kipan", "synthetic"}
    assert all(re.fullmatch(r"\+[56]\.\d ± 0\.\d", value) for value in row.values())
    texts = [block.text for block in found if isinstance(block, Paragraph)]
    assert texts[1].startswith("Clean, sgd (watch 3 of 5 folds, mfeat 3 of 5 folds")
    assert len(blocks(Results(EXPERIMENT.name, asdict(FULL), "x", {}))) == 2


def test_the_picture_has_a_panel_a_condition_and_optimiser():
    axes = [axis for axis in picture(made(0.06)).axes if axis.get_visible()]
    assert [axis.get_title().replace("\n", " ") for axis in axes] == [", ".join(panel) for panel in PANELS]
    assert len(axes[0].get_yticklabels()) == len(CONTESTANTS) - 1
