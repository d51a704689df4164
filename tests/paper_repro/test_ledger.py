import csv
import io
from dataclasses import asdict, fields
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import ConfigError, DataError, RangeError
from paper_repro.ledger import PROVENANCES, PUBLISHED, Published, csv_text, read_published
from tests.paper_repro.made import published

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1)


@given(st.decimals(-1000, 1000, places=2))
def test_without_spread_the_interval_is_what_rounding_hides(value: Decimal):
    row = published(str(value))
    assert row.number == float(value)
    assert row.half_width == 0.005


@pytest.mark.parametrize(("value", "half"), [("65", 0.5), ("0", 0.5), ("0.686", 0.0005), ("98.5", 0.05)])
def test_half_a_unit_of_the_last_digit(value: str, half: float):
    assert published(value).half_width == pytest.approx(half)


def test_a_spread_is_the_half_width():
    assert published("98.51", "0.15").half_width == 0.15


def test_an_unverified_number_is_printed_as_such():
    assert published("1.5", "0.25").printed == "1.5 ± 0.25"
    assert published("1.50", provenance="unverified").printed == "1.50 (unverified)"
    assert published(table="").known == "paper-table: arXiv"


def test_only_authors_verify():
    verified = {
        kind for kind in PROVENANCES if kind != "not available" and published(provenance=kind).verified
    }
    assert verified == {"paper-table", "official", "abstract"}


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_csv_is_read_back(cells: list[tuple[str, str]]):
    rows = [{"a": first, "b": second} for first, second in cells]
    assert list(csv.DictReader(io.StringIO(csv_text(rows), newline=""))) == rows


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text(csv_text(list(rows)), encoding="utf-8")
    return path


def test_rows_are_read_back(tmp_path: Path):
    rows = [published(row="a"), published("", row="b", provenance="not available", note='a "note", here')]
    assert read_published(write(tmp_path / "x.csv", *map(asdict, rows))) == rows


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"value": "ten"}, DataError, "value must be a decimal number"),
        ({"value": "NaN"}, DataError, "value must be finite"),
        ({"value": ""}, ConfigError, "must be empty exactly if"),
        ({"provenance": "not available"}, ConfigError, "must be empty exactly if"),
        ({"provenance": "rumour"}, ConfigError, "provenance must be one of"),
        ({"spread": "-1"}, RangeError, "spread must not be negative"),
        ({"method": ""}, DataError, "method must not be empty"),
    ],
)
def test_a_bad_row_is_refused_and_its_line_named(change, error, match, tmp_path: Path):
    with pytest.raises(error, match=match):
        published(**change)
    path = write(tmp_path / "x.csv", asdict(published(row="good")), {**asdict(published()), **change})
    with pytest.raises(DataError, match=f"line 3 must be a row; found .*{match}"):
        read_published(path)


def test_other_columns_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="must have the columns row, paper"):
        read_published(write(tmp_path / "x.csv", {"row": "a"}))


def test_a_row_too_short_is_refused(tmp_path: Path):
    header = ",".join(field.name for field in fields(Published))
    (tmp_path / "x.csv").write_text(f"{header}\na,b\n")
    with pytest.raises(DataError, match="line 2 must be a row"):
        read_published(tmp_path / "x.csv")


def test_a_row_that_is_there_twice_is_refused(tmp_path: Path):
    row = asdict(published(row="same"))
    with pytest.raises(DataError, match=r"must name each row once; found \['same'\]"):
        read_published(write(tmp_path / "x.csv", row, row))


def test_the_stored_ledger_is_sound():
    rows = read_published(PUBLISHED)
    assert len(rows) == 92
    unverified = [row for row in rows if row.provenance == "unverified"]
    assert {row.dataset for row in unverified} == {"MNIST halves"}
    assert all("memory" in row.source for row in unverified)
