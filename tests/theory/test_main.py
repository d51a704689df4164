import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import theory.__main__ as command
from theory.registry import How, check, formula

RUNNER = CliRunner(env={"COLUMNS": "120"})


@formula("9.1")
def double(x: float) -> float:
    return x + x


def chapter(error: float, display: str = "N=N+0") -> SimpleNamespace:
    holds = check("9.1", how=How.PROPERTY, tolerance=0.5, code="bogc")(lambda: error)
    module = SimpleNamespace(double=double, holds=holds)
    texts = {"0.3": display}  # read by the reading of chapter 0, which knows N
    return SimpleNamespace(number=9, statements={"9.1": "Doubling"}, module=module, displays=texts)


@pytest.fixture(autouse=True)
def one_chapter(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "chapters", lambda: (chapter(0.25),))


def test_table_and_exit_status():
    result = RUNNER.invoke(command.app, [])
    assert result.exit_code == 0
    for part in ("9.1", "Doubling", "property", "2.5e-01", "pass", "1 of 1 checks passed, 1 of 1 displays"):
        assert part in result.output


def test_a_wrong_display_is_named_and_makes_the_exit_status_1(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "chapters", lambda: (chapter(0.25, "N=N+1"),))
    result = RUNNER.invoke(command.app, ["--markdown"])
    assert result.exit_code == 1
    for part in ("| 0.3 |", "FAIL", "N = N + 1: ", "1 of 1 checks passed, 0 of 1 displays"):
        assert part in result.output


def test_a_failing_check_makes_the_exit_status_1(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "chapters", lambda: (chapter(2.0),))
    result = RUNNER.invoke(command.app, ["--markdown"])
    assert result.exit_code == 1
    assert "FAIL" in result.output
    assert "0 of 1 checks passed" in result.output


def test_json():
    result = RUNNER.invoke(command.app, ["--json", "--equation", "9.1"])
    (row,) = json.loads(result.stdout)
    assert (row["equation"], row["statement"], row["result"]) == ("9.1", "Doubling", "pass")


def test_unknown_equation_or_chapter():
    for arguments in (["--equation", "8.1"], ["--chapter", "3"]):
        result = RUNNER.invoke(command.app, arguments)
        assert result.exit_code == 2
        assert "no check has that equation" in result.output.replace("\n", " ")


def test_mutants_that_live_make_the_exit_status_1():
    result = RUNNER.invoke(command.app, ["--mutate"])
    assert result.exit_code == 1
    assert "alive 9.1 double: x + x -> x - x" in result.output
    assert "alive 0.3 display: N = N + 0 -> N = N - 0" in result.output
    assert "mutation score 1 / 3" in result.output


def test_write_puts_the_tables_into_chapter_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- choices -->\nold\n<!-- /choices -->\nafter\n")
    monkeypatch.setattr("theory.choices.PAGE", page)
    result = RUNNER.invoke(command.app, ["--write"])
    assert (result.exit_code, result.output) == (0, "")
    assert page.read_text().startswith("before\n<!-- choices -->\n| choice | name |")
    assert page.read_text().endswith("\n<!-- /choices -->\nafter\n")
