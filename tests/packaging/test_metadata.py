"""What the package says of itself: dependencies, extras, classifiers."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_no_base_dependency_is_pinned():
    for line in PROJECT["dependencies"]:
        assert re.fullmatch(r"[a-z0-9-]+>=[\d.]+", line), line


def test_every_extra_that_is_named_exists():
    """In messages, docstrings and pages: pip install 'bogc[...]'."""
    files = [*(ROOT / "bogc").rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    named = {
        extra
        for path in files
        for names in re.findall(r"bogc\[([a-z, ]+)\]", path.read_text(encoding="utf-8"))
        for extra in re.split(r",\s*", names)
    }
    assert {"peers", "cluster"} <= named <= set(EXTRAS)


def test_extras_are_among_the_tools_of_the_tests():
    """Else a snippet or a message of theirs would never run; the site and notebooks have their own tools."""
    names = {re.match(r"[\w-]+", line)[0] for line in EXTRAS["dev"]}
    for extra in set(EXTRAS) - {"dev", "docs", "notebooks"}:
        assert {re.match(r"[\w-]+", line)[0] for line in EXTRAS[extra]} <= names, extra


def test_versions_agree():
    minors = [c.rpartition(":: ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert f">={minors[0]}" == PROJECT["requires-python"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {PROJECT['version']}\n" in citation


def test_what_the_lower_bounds_were_tried_with_is_not_above_what_is_installed():
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    )
    known = {name.lower(): version for name, version in pinned.items()}
    for line in PROJECT["dependencies"]:
        name, least = line.split(">=")
        if name in known:
            assert [*map(int, re.findall(r"\d+", known[name]))] >= [*map(int, least.split("."))], name
