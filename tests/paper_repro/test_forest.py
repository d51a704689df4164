from dataclasses import replace
from pathlib import Path

import pytest

from paper_repro.entries import join, read_all
from paper_repro.forest import forest, lines, png
from paper_repro.status import Kind, Status
from tests.paper_repro.made import experiment, published, write_results

VALUES = [9.9, 10.0, 10.02, 9.98, 10.1]


def entries(folder: Path, value: str, spread: str):
    write_results(folder, VALUES)
    made = {"made": experiment()}
    return join([published(value, spread)], made, read_all(made, folder))


def test_positions_are_percent_of_the_published_value(tmp_path: Path):
    [line] = lines(entries(tmp_path, "20.0", "1.0"))["made"]
    assert (line.published, line.ours, line.exact) == pytest.approx((5.0, -50.0, -50.5))
    assert line.kind is Kind.OFF


def test_rows_published_as_zero_are_left_out(tmp_path: Path):
    assert lines(entries(tmp_path, "0", "")) == {}


def test_rows_without_a_difference_are_left_out(tmp_path: Path):
    found = entries(tmp_path, "10.0", "0.3")
    bare = [replace(entry, status=Status(Kind.REPRODUCED)) for entry in found]
    assert lines(bare) == {}


def test_picture_shows_the_intervals(tmp_path: Path):
    figure = forest(entries(tmp_path, "10.0", "0.3"))
    [axis] = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["data: method | m"]
    drawn = [list(line.get_xdata()) for line in axis.lines]
    assert any(x == pytest.approx([-3.0, 3.0]) for x in drawn if len(x) == 2)
    assert any(x == pytest.approx([0.0]) for x in drawn if len(x) == 1)
    assert png(figure).startswith(b"\x89PNG")


def test_nothing_measured_is_an_empty_picture():
    assert forest([]).axes == []
    assert png(forest([])).startswith(b"\x89PNG")


def test_one_panel_an_experiment(tmp_path: Path):
    found = entries(tmp_path, "10.0", "0.3")
    assert len(forest([*found, *found]).axes) == 1
