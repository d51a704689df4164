from pathlib import Path

import pytest

import paper_repro
from bogc.errors import DataError
from paper_repro.contradictions import CONTRADICTIONS, Contradiction, blocks
from paper_repro.entries import join, read_all
from paper_repro.experiments import EXPERIMENTS
from paper_repro.ledger import read_published
from tests.paper_repro.made import experiment, published, write_results

STORED = Path(paper_repro.__file__).parent
PUBLISHED = {row.row: row for row in read_published()}


@pytest.mark.parametrize("each", CONTRADICTIONS, ids=lambda each: each.title)
def test_rows_of_one_metric_and_data_set_whose_intervals_are_disjoint(each: Contradiction):
    rows = [PUBLISHED[name] for name in each.rows]
    assert len({(row.dataset, row.metric) for row in rows}) == 1
    least, most = (pick(rows, key=lambda row: row.number) for pick in (min, max))
    assert least.number + least.half_width < most.number - most.half_width


def test_titles_are_distinct():
    assert len({each.title for each in CONTRADICTIONS}) == len(CONTRADICTIONS)


def test_what_is_said_of_huangs_tables_is_what_the_ledger_notes():
    for name in ("huang2021-iemocap-tv", "huang2021-iemocap-ta"):
        assert PUBLISHED[name].note == "Tables 2 and 3 of the paper have TV and TA swapped"


def test_below_joint_means_below():
    for data in ("kinetics-sounds", "cmu-mosi"):
        joint, cggm = (
            PUBLISHED[f"cggm-{data}-{m}-third-party-rerun"].number for m in ("plain-joint", "cggm")
        )
        assert cggm < joint


def test_every_number_comes_from_the_ledger_or_from_results(tmp_path: Path):
    made = {"made": experiment(row="a")}
    write_results(tmp_path, [9.9, 10.0, 10.02, 9.98, 10.1])
    rows = [published("10.5", row="a"), published("12.25", "0.5", row="b", dataset="CREMA-D", note="n")]
    entries = join(rows, made, read_all(made, tmp_path))
    _, _, summary, lines = blocks(entries, [Contradiction("t", "w", ("b", "a"))])
    assert summary.rows == (("t", "w", "mse", "10.5", "12.25", "1.75"),)
    assert lines.rows[0] == ("t", "`b`", "12.25 ± 0.5", "paper-table: arXiv Table 1 (n)", "", "needs data")
    assert lines.rows[1] == (
        "t",
        "`a`",
        "10.5",
        "paper-table: arXiv Table 1",
        str(entries[0].measured.interval),
        "off by -0.5",
    )


def test_a_row_that_is_not_there_or_has_no_number_is_refused():
    rows = [
        published("", row="a", dataset="CREMA-D", provenance="not available"),
        published(row="b", dataset="CREMA-D"),
    ]
    entries = join(rows, {}, {})
    for names in (("a", "b"), ("b", "c")):
        with pytest.raises(DataError, match=r"must be rows of the ledger with a number; found '[ac]'"):
            blocks(entries, [Contradiction("t", "w", names)])


def test_the_section_links_our_tables_and_lists_every_row():
    results = read_all(EXPERIMENTS, STORED)
    _, text, summary, lines = blocks(join(read_published(), EXPERIMENTS, results))
    assert "docs/*_table.json" in text.text
    assert len(summary.rows) == len(CONTRADICTIONS)
    assert len(lines.rows) == sum(len(each.rows) for each in CONTRADICTIONS)
