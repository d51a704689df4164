from dataclasses import asdict

import pytest

from paper_repro.bogc_mml.ablation import EXPERIMENT, INVERSE_VARIANCE, SUM, key, tasks
from paper_repro.bogc_mml.ablation_report import PICTURE, blocks, picture
from paper_repro.bogc_mml.variants import BASE_NAME, FACTORS, SINGLE, combinations, name_of
from paper_repro.document import Picture, Table
from paper_repro.results import Results, finished

LEVELS = {level: index for levels in FACTORS.values() for index, level in enumerate(levels)}


def made() -> Results:
    """Made accuracies: a variant's place in thousandths above the plain sum; levels add hundredths."""
    runs = {}
    for number, name in enumerate(tasks(EXPERIMENT.full)):
        design, dataset, _, *levels = name.split(", ")
        values = {key(dataset, SUM): 0.5}
        if design == "single":
            values |= {key(dataset, v): 0.5 + place / 1000 for place, v in enumerate(SINGLE)}
            values[key(dataset, INVERSE_VARIANCE)] = 0.5 + number / 100
        else:
            chosen = [c for c in combinations() if list(c[:2]) == levels]
            values |= {key(dataset, name_of(c)): 0.5 + sum(LEVELS[x] for x in c) / 100 for c in chosen}
        runs[name] = finished(values, 1.0)
    return Results(EXPERIMENT.name, asdict(EXPERIMENT.full), "x", runs)


def test_tables_recover_what_was_put_in():
    single, effects, ranks = (block for block in blocks(made()) if isinstance(block, Table))
    by_name = {row[0]: row[1:] for row in single.rows}
    assert by_name[BASE_NAME] == ("50.0",) * 5 + ("", "+0.0 ± 0.0")
    assert by_name[list(SINGLE)[7]][-2:] == ("+0.7 ± 0.0", "+0.7 ± 0.0")
    assert by_name[SUM][-1] == ""
    assert "± 0.0" not in by_name[INVERSE_VARIANCE][-1]
    assert ("frame", "reliability", "+0.0 ± 0.0") in effects.rows
    assert ("frame", "dimensions", "+1.0 ± 0.0") in effects.rows
    assert ("evidence", "pseudo-count", "-2.0 ± 0.0") in effects.rows
    assert ranks.rows[0][:3] == ("1", "filtered / identity / dimensions / precision", "59.0")
    assert ranks.rows[-1][:3] == ("90", name_of(combinations()[0]), "50.0")


def test_the_picture_shows_every_difference_and_effect():
    left, right = picture(made()).axes
    shown = [text.get_text() for text in left.get_yticklabels()]
    assert shown == [name for name in [*SINGLE, SUM, INVERSE_VARIANCE] if name != BASE_NAME]
    assert len(right.get_yticklabels()) == sum(map(len, FACTORS.values()))
    points = [float(point) for point in left.lines[0].get_xdata()]
    assert points[:3] == pytest.approx([0.1, 0.2, 0.3])


def test_an_unfinished_full_design_is_left_out():
    whole = made()
    runs = {name: run for name, run in whole.runs.items() if "identity" not in name}
    shown = blocks(Results(whole.experiment, whole.config, "x", runs))
    assert sum(isinstance(block, Table) for block in shown) == 1
    assert [block.name for block in shown if isinstance(block, Picture)] == [PICTURE]
    assert len(picture(Results(whole.experiment, whole.config, "x", runs)).axes[1].get_yticklabels()) == 0


@pytest.mark.parametrize("config", [EXPERIMENT.full, EXPERIMENT.quick])
def test_without_results_there_are_no_tables(config):
    shown = blocks(Results(EXPERIMENT.name, asdict(config), "x", {}))
    assert not any(isinstance(block, Table) for block in shown)
