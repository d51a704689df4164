from dataclasses import asdict

import pytest

from paper_repro.bogc_mml.claims import EXPERIMENT, METHODS, MISSING, key, tasks
from paper_repro.bogc_mml.claims_report import blocks, lead, picture, table, verdict
from paper_repro.document import Paragraph, Table
from paper_repro.results import Results, finished


def made(lead_over_joint: float) -> Results:
    """Joint at 0.5, bogc above it by a lead with a little spread, all others as bogc."""
    runs = {}
    for number, name in enumerate(tasks(EXPERIMENT.full)):
        dataset, condition, _ = name.split(", ")
        spread = 0.001 * (number % 3)
        shares = {m: 0.5 if m == "joint" else 0.5 + lead_over_joint + spread for m in METHODS}
        values = {key(dataset, condition, m): share for m, share in shares.items()}
        if condition == "clean":
            values |= {key(dataset, MISSING, m): share - 0.1 for m, share in shares.items()}
        runs[name] = finished(values, 1.0)
    return Results(EXPERIMENT.name, asdict(EXPERIMENT.full), "x", runs)


@pytest.mark.parametrize(
    ("size", "says"),
    [
        (0.05, "bogc is above joint; no difference to the others is shown."),
        (-0.05, "bogc is below joint; no difference to the others is shown."),
        (-0.001, "no difference between bogc and any other method is shown."),
    ],
)
def test_verdicts_say_what_was_put_in(size: float, says: str):
    texts = [block.text for block in blocks(made(size)) if isinstance(block, Paragraph)]
    assert f"Clean: {says}" in texts
    assert f"One modality missing: {says}" in texts
    assert len([text for text in texts if text.endswith(says)]) == 5


def test_tables_show_accuracy_lead_and_corrected_p():
    first = next(block for block in blocks(made(0.05)) if isinstance(block, Table))
    assert first.header == ("method", "watch", "mfeat", "emoji", "kipan", "bogc -", "p")
    rows = {row[0]: row[1:] for row in first.rows}
    assert rows["joint"][0] == "50.0"
    assert rows["joint"][4].startswith("+5.1 ± ")
    assert float(rows["joint"][5]) < 0.001
    assert rows["sum"][4:] == ("+0.0 ± 0.0", "1.000")
    assert rows["bogc"][4:] == ("", "")


def test_one_fold_of_one_data_set_has_no_p_value():
    cells = {"bogc": {"x": [0.6]}, "joint": {"x": [0.5]}}
    assert table(cells).rows[1][-1] == ""
    assert lead(cells, "joint").half is None
    assert verdict(cells) == "no difference between bogc and any other method is shown."


def test_the_picture_has_a_panel_a_condition_and_a_line_a_peer():
    axes = picture(made(0.05)).axes
    assert [axis.get_title() for axis in axes] == [
        "clean", "label noise", "one noisy modality", "small batches", "one modality missing",
    ]  # fmt: skip
    assert len(axes[0].get_yticklabels()) == len(METHODS) - 1
