import csv
from pathlib import Path

import pytest

import paper_repro
from paper_repro.document import Picture, to_markdown
from paper_repro.entries import flat, join, read_all
from paper_repro.experiments import EXPERIMENTS
from paper_repro.ledger import csv_text, read_published
from paper_repro.needs import NEEDS
from paper_repro.report import blocks, write_report
from paper_repro.status import Kind

STORED = Path(paper_repro.__file__).parent


def test_the_stored_report_is_what_the_stored_results_give():
    results = read_all(EXPERIMENTS, STORED)
    entries = join(read_published(), EXPERIMENTS, results)
    remedy = "stale: run `python -m paper_repro report --folder paper_repro`"
    expected = to_markdown(blocks(entries, results))
    assert (STORED / "REPRODUCTION.md").read_text(encoding="utf-8") == expected, remedy
    lines = csv_text([flat(entry) for entry in entries])
    assert (STORED / "ledger.csv").read_text(encoding="utf-8") == lines, remedy
    pictures = [block.name for block in blocks(entries, results) if isinstance(block, Picture)]
    assert "forest.png" in pictures
    assert all((STORED / name).exists() for name in pictures)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_stored_results_are_complete_unless_they_take_hours_and_of_the_full_configuration(name: str):
    experiment = EXPERIMENTS[name]
    results = read_all(EXPERIMENTS, STORED)[name]
    if results is None:
        waiting = {row.row for row in read_published() if row.dataset in NEEDS}
        assert experiment.hours or {series.row for series in experiment.series if series.row} <= waiting
        return
    assert results.config_hash == (experiment.former or experiment.digest(experiment.full))
    planned = experiment.tasks(experiment.full).keys()
    assert results.runs.keys() <= planned if experiment.hours else results.runs.keys() == planned


def test_without_results_every_row_is_still_there(tmp_path: Path):
    paths = write_report(tmp_path)
    assert sorted(path.name for path in paths) == [
        "REPRODUCTION.html", "REPRODUCTION.md", "forest.png", "ledger.csv",
    ]  # fmt: skip
    with (tmp_path / "ledger.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["row"] for line in lines] == [row.row for row in read_published()]
    assert {line["status"] for line in lines} == {"not run", "needs data", "not available"}
    text = (tmp_path / "REPRODUCTION.md").read_text(encoding="utf-8")
    assert "Not run yet: `python -m paper_repro run huang-simulation`" in text
    assert (tmp_path / "REPRODUCTION.html").read_text(encoding="utf-8").count("data:image/png") == 1


def test_what_is_not_verified_is_shown_as_such(tmp_path: Path):
    write_report(tmp_path)
    lines = (tmp_path / "REPRODUCTION.md").read_text(encoding="utf-8").splitlines()
    doubtful = [line for line in lines if "MNIST halves" in line]
    assert len(doubtful) == 9
    assert all("(unverified)" in line and "unverified: from memory" in line for line in doubtful)


def test_what_takes_hours_says_how_to_run_it(tmp_path: Path):
    write_report(tmp_path)
    text = (tmp_path / "REPRODUCTION.md").read_text(encoding="utf-8")
    [line] = [line for line in text.splitlines() if "`python -m paper_repro run mnist-halves` (" in line]
    assert "the same command resumes" in line


def test_counts_add_up():
    results = read_all(EXPERIMENTS, STORED)
    entries = join(read_published(), EXPERIMENTS, results)
    table = blocks(entries, results)[3]
    assert [row[0] for row in table.rows] == [*map(str, Kind), "all"]
    *rows, total = [(int(row[1]), int(row[2])) for row in table.rows]
    assert tuple(map(sum, zip(*rows, strict=True))) == total
    assert total[0] == len(entries)
