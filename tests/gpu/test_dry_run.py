"""``python tests/gpu --device cpu``: every part runs, keeps what the page needs, and goes on where it was."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.gpu import running, suite
from tests.gpu.__main__ import main
from tests.gpu.machine import Machine, find
from tests.gpu.page import NOTHING, PAGE, TITLES
from tests.gpu.records import Row, failures, in_words, read, write
from tests.gpu.running import PARTS, Plan, run

CPU = Machine(torch.device("cpu"))


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)
    torch.set_deterministic_debug_mode("default")


@pytest.mark.slow
def test_every_part_runs_and_the_page_can_be_written(tmp_path: Path):
    assert main(["--device", "cpu", "--out", str(tmp_path)]) == 0
    kept = {path.stem: read(path) for path in tmp_path.rglob("*.json")}
    assert kept.keys() == PARTS.keys()
    for name, part in kept.items():
        assert part is not None
        assert part["whole"]
        assert not list(failures(part))
        assert part["rows"].keys() == PARTS[name](CPU).keys()
    check_content(kept)
    page = tmp_path / "gpu.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["--render", str(tmp_path), "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "A dry run" in text
    assert NOTHING not in text
    assert "Not measured yet" not in text
    assert all(f"### {title}\n" in text for title in TITLES.values())


def check_content(kept: dict[str, Row]) -> None:
    """What the parts are for."""
    waits, tests = (kept["suite"]["rows"][name] for name in ("waits", "tests"))
    assert (waits["waits"], waits["copies"]) == (1, [])
    assert tests["passed tests"] > 0
    assert tests["failed tests"] == tests["error tests"] == 0
    half = kept["precision"]["rows"]["fp16 with GradScaler"]
    for method in ("sum", "bogc"):
        assert half[method]["overflows"] > 0
        assert half[method]["unreported"] == 0
        assert kept["precision"]["rows"]["bf16 autocast"][method]["largest"] < 0.3
        assert kept["precision"]["rows"]["cpu, float64"][method]["rounding"]
    assert kept["precision"]["rows"]["same seed twice"]["same"]
    for row in kept["steps"]["rows"].values():
        assert all("ratio" in found or "left out" in found for found in row["contestants"].values())
    for row in kept["bandwidth"]["rows"].values():
        assert row["contestants"]["bogc"]["moved_bytes"] > row["least_bytes"]
    assert all(row["accuracy"] > 0.5 for row in kept["training"]["rows"].values())


def test_it_needs_few_packages_and_says_where_there_is_no_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    script = Path(__file__).with_name("blocked.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    line = done.stderr.strip()
    assert line.startswith("DeviceError: device must be a CUDA device that torch can use; found none")
    assert line.endswith("--device cpu.")
    assert "\n" not in line


def test_another_device_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["--device", "abacus"]) == 2
    assert "must be cuda, cuda:N or cpu; found 'abacus'" in capsys.readouterr().err


class Counted:
    """A part of two rows that counts how often each is made."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.broken = False

    def rows(self, machine: Machine) -> dict[str, Callable[[], Row]]:
        return {"a": lambda: self.make("a"), "b": lambda: self.make("b")}

    def make(self, name: str) -> Row:
        self.made.append(name)
        if self.broken and name == "b":
            raise RuntimeError("out of luck\nand more")
        return {"value": name}


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Counted:
    found = Counted()
    monkeypatch.setattr(running, "PARTS", {"part": found.rows})
    return found


def test_what_is_there_is_not_made_again_unless_asked(part: Counted, tmp_path: Path):
    assert run(Plan(CPU, tmp_path, ["part"]))
    assert run(Plan(CPU, tmp_path, ["part"]))
    assert part.made == ["a", "b"]
    assert run(Plan(CPU, tmp_path, ["part"], again=True))
    assert part.made == ["a", "b", "a", "b"]


def test_a_run_that_is_cut_off_goes_on_with_the_rows_that_are_missing(part: Counted, tmp_path: Path):
    assert run(Plan(CPU, tmp_path, ["part"]))
    path = tmp_path / CPU.folder / "part.json"
    half = json.loads(path.read_text())
    del half["rows"]["a"]
    write(path, half)
    assert run(Plan(CPU, tmp_path, ["part"]))
    assert part.made == ["a", "b", "a"]
    assert list(json.loads(path.read_text())["rows"]) == ["a", "b"]


def test_what_failed_is_kept_as_such_and_tried_again(part: Counted, tmp_path: Path):
    part.broken = True
    assert not run(Plan(CPU, tmp_path, ["part"]))
    found = read(tmp_path / CPU.folder / "part.json")
    assert found is not None
    assert list(failures(found["rows"])) == [("b", "RuntimeError: out of luck")]
    part.broken = False
    assert run(Plan(CPU, tmp_path, ["part"]))
    assert part.made == ["a", "b", "b"]


def test_a_figure_that_is_no_number_is_a_failure(
    part: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(part, "make", lambda name: {"value": float("nan")})
    assert not run(Plan(CPU, tmp_path, ["part"]))
    found = read(tmp_path / CPU.folder / "part.json")
    assert found is not None
    assert [name for name, _ in failures(found["rows"])] == ["a", "b"]


def test_rows_of_other_versions_are_made_again(part: Counted, tmp_path: Path):
    assert run(Plan(CPU, tmp_path, ["part"]))
    path = tmp_path / CPU.folder / "part.json"
    old = json.loads(path.read_text())
    old["versions"]["torch"] = "1.0"
    write(path, old)
    assert run(Plan(CPU, tmp_path, ["part"]))
    assert part.made == ["a", "b", "a", "b"]


def test_no_row_is_begun_when_time_is_up(part: Counted, tmp_path: Path):
    assert not run(Plan(CPU, tmp_path, ["part"], minutes=-1))
    assert part.made == []


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path):
    for text in ("", "[]", "{", '{"rows": []}'):
        (tmp_path / "x.json").write_text(text)
        assert read(tmp_path / "x.json") is None
    assert read(tmp_path / "y.json") is None


def test_an_error_without_words_is_its_name():
    assert in_words(ValueError()) == "ValueError"


def test_a_dry_run_is_kept_apart_from_cards():
    assert find("cpu").folder == "cpu-dry-run"


def test_files_with_a_test_that_takes_a_device_are_found():
    found = suite.files(Machine(torch.device("cuda")))
    assert "tests/methods/test_conformance.py" in found
    assert [name for name in found if "tests/gpu" in name] == [suite.OWN]


def test_outcomes_are_counted_from_the_report_of_pytest(tmp_path: Path):
    cases = '<testcase classname="m" name="{}">{}</testcase>'
    inner = [("a", ""), ("b", "<failure/>"), ("c", "<skipped/>"), ("d", "<error/>"), ("e", "<system-out/>")]
    path = tmp_path / "report.xml"
    path.write_text(f"<s><t>{''.join(cases.format(*pair) for pair in inner)}</t></s>")
    assert suite.counted(path) == {
        "passed tests": 2,
        "failed tests": 1,
        "error tests": 1,
        "skipped tests": 1,
        "not passed": ["m.b", "m.d"],
    }
