"""The tables of docs/speed.md are what the benchmarks kept."""

import re

import pytest

from docs.speed import PAGES, blocks, by_problem, cost, filled, memory, operations

ROW = {"ratio": 1.234, "low": 1.0, "high": 2.5}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_shows_what_was_measured(page):
    text = page.read_text(encoding="utf-8")
    assert filled(text, blocks()) == text, "run python -m docs.speed"


def test_every_marker_is_filled_and_every_benchmark_shown():
    found = blocks()
    shown = {
        name for page in PAGES for name in re.findall(r"<!-- bench (\w+) -->\n", page.read_text("utf-8"))
    }
    assert found.keys() <= shown <= found.keys() | {"cost", "memory"}


def test_a_table_has_a_column_a_problem_and_a_dash_where_nothing_ran():
    lines = by_problem({"p": {"x": ROW, "y": ROW}, "q": {"x": ROW}}).splitlines()
    assert lines[0] == "|  | p | q |"
    assert lines[2:] == [
        "| x | 1.23 (1.00 to 2.50) | 1.23 (1.00 to 2.50) |",
        "| y | 1.23 (1.00 to 2.50) | – |",
    ]


def test_costs_and_memory_have_a_row_a_network():
    results = {"p": {"time": {"plain sum": ROW, "x": ROW}, "memory": {"x": 2.25}}}
    assert cost(results).splitlines()[2] == "| p | 1.23 | 1.23 |"
    assert memory(results).splitlines()[2] == "| p | 2.2 |"


def test_operations_show_their_ratio():
    assert operations({"p": {"plain sum": 10, "bogc": 25}}).splitlines()[2] == "| p | 10 | 25 | 2.5 |"


def test_only_what_is_between_markers_is_replaced():
    text = "a\n<!-- bench x -->\nold\n<!-- /bench -->\nb <!-- bench y -->\nkept\n<!-- /bench -->"
    expected = "a\n<!-- bench x -->\nnew\n<!-- /bench -->\nb <!-- bench y -->\nkept\n<!-- /bench -->"
    assert filled(text, {"x": "new"}) == expected
