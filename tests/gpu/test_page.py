"""docs/gpu.md shows what is in tests/gpu/results, each card apart, beside its goals."""

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.__main__ import RESULTS
from tests.gpu.page import GOAL_NETWORK, NOTHING, PAGE, bandwidth, filled, section, step_goals, suite
from tests.gpu.records import Row, write

TEXT = "before\n<!-- gpu -->\nold\n<!-- /gpu -->\nafter\n"


def part(device: str, rows: dict[str, Any], **more: Any) -> Row:
    versions = {"python": "3.12", "torch": "2.11", "bogc": "0.1", "cuda": "12.8"}
    about = {"device": device, "dry": False, "date": "2026-01-01", "versions": versions}
    return {**about, "seconds": 1.0, "whole": True, "rows": rows, **more}


def times(**ratios: float) -> Row:
    return {name: {"ratio": value, "low": value, "high": value} for name, value in ratios.items()}


def test_the_page_shows_the_results_that_are_kept():
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text, RESULTS) == text, "run python tests/gpu --render tests/gpu/results"


def test_kept_results_are_those_of_cards():
    assert "dry run" not in PAGE.read_text(encoding="utf-8").partition("<!-- gpu -->")[2]


def test_without_results_the_page_says_so(tmp_path: Path):
    assert filled(TEXT, tmp_path) == f"before\n<!-- gpu -->\n{NOTHING}\n<!-- /gpu -->\nafter\n"


def test_cards_are_kept_apart(tmp_path: Path):
    for card in ("Card B", "Card A"):
        row = {"waits": {"waits": 1, "reads": ["tolist"], "copies": []}}
        write(tmp_path / card.lower().replace(" ", "-") / "suite.json", part(card, row))
    text = filled(TEXT, tmp_path)
    assert NOTHING not in text
    assert text.index("## Card A") < text.index("## Card B")
    assert text.count("A default step waits 1 time(s) for the device (`tolist`), as it should.") == 2
    assert text.count("Not measured yet") == 8


def test_what_failed_or_is_missing_is_said():
    row = {"contestants": {"plain sum": {"failed": "OutOfMemoryError: no room"}}}
    text = section({"steps": part("Card", {GOAL_NETWORK: row}, whole=False)})
    assert f"*{GOAL_NETWORK}: contestants: plain sum failed: `OutOfMemoryError: no room`*" in text
    assert "Cut off" in text
    assert "not measured" in text


def test_a_step_that_waits_twice_is_said_to():
    found = suite({"waits": {"waits": 2, "reads": ["item", "tolist"], "copies": []}})
    assert found == [
        "A default step waits 2 time(s) for the device (`item`, `tolist`), **which is not once**."
    ]


@pytest.mark.parametrize(
    ("ours", "peer", "said"),
    [(2.4, 2.0, ["1.20, met", "2.40, met"]), (2.8, 2.0, ["1.40, **not met**", "2.80, **not met**"])],
)
def test_steps_are_held_against_their_goals(ours: float, peer: float, said: list[str]):
    found = step_goals(times(**{"bogc": ours, "torchjd UPGrad": peer})).splitlines()
    assert all(words in line for words, line in zip(said, found, strict=True))


def test_the_pass_is_held_against_its_goal_at_the_largest_size():
    def row(share: float) -> Row:
        own = {"milliseconds": 1.0, "share": share, "moved_bytes": 880, "moved_share": 2 * share}
        more = {"bogc": own, "bogc, compiled": {"milliseconds": 1.0, "share": share / 2}}
        return {"contestants": more, "least_bytes": 440, "copy_gigabytes_a_second": 2000.0}

    found = bandwidth({"small": row(0.2), "large": row(0.72)})
    assert found[-1].endswith("0.72, met.")
    assert "| large | 2,000 | 1.000 | 1.000 | 72 | 36 | 2.0 | 144 |" in found[1]


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("*.py")), ids=lambda p: p.name)
def test_files_and_functions_are_small(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name
