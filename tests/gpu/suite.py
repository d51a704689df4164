"""Part ``suite``: the tests that have a CUDA variant, and what a step waits for."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.gpu.machine import Machine
from tests.gpu.records import Row
from tests.gpu.waits import count

ROOT: Final = Path(__file__).parents[2]
NEEDED: Final = ("pytest", "hypothesis", "beartype")
ON_A_DEVICE: Final = re.compile(r"def test_\w+\([^)]*\bdevice\b")
OWN: Final = "tests/gpu/test_machine.py"
"""The one file of a dry run."""
DRY: Final = ("--noconftest", "--override-ini=addopts=")
"""Options with which it starts in few seconds."""
SECONDS: Final = 240
MOST_NAMES: Final = 20


def rows(machine: Machine) -> dict[str, Callable[[], Row]]:
    """Two rows: ``waits`` and ``tests``."""
    return {"waits": lambda: count(machine), "tests": lambda: tests(machine)}


def files(machine: Machine) -> list[str]:
    """Test files in which some test takes a device."""
    if machine.dry:
        return [OWN]
    own = Path(__file__).parent
    paths = (p for p in sorted((ROOT / "tests").rglob("test_*.py")) if own not in p.parents)
    found = [p for p in paths if ON_A_DEVICE.search(p.read_text(encoding="utf-8"))]
    return [*(p.relative_to(ROOT).as_posix() for p in found), OWN]


def tests(machine: Machine) -> Row:
    """Run them by pytest in a process of its own, and count what it says."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return {"left out": f"{', '.join(missing)} not installed"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        options = ["-k", machine.device.type, "-p", "no:cacheprovider", "--continue-on-collection-errors"]
        options += DRY if machine.dry else ()
        command = [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", *files(machine)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=surroundings(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if not report.exists():
            raise RuntimeError(f"pytest ended with {done.returncode}: {done.stderr.strip()[-150:]}")
        return counted(report)


def surroundings() -> dict[str, str]:
    """Environment of the tests: kernels run beside the host, and no options of another pytest."""
    left = ("PYTEST_", "CUDA_LAUNCH_BLOCKING")
    return {key: value for key, value in os.environ.items() if not key.startswith(left)}


def counted(report: Path) -> Row:
    """What a JUnit report holds."""
    found: dict[str, list[str]] = {"passed": [], "failed": [], "error": [], "skipped": []}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}".strip(".")
        tags = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        outcome = tags[0].replace("failure", "failed") if tags else "passed"
        found[outcome].append(name)
    numbers: Row = {f"{outcome} tests": len(names) for outcome, names in found.items()}
    return numbers | {"not passed": (found["failed"] + found["error"])[:MOST_NAMES]}
