"""What is imported, and what is only imported where it is needed: slow packages cost every start."""

import subprocess
import sys

import pytest

SLOW = ("matplotlib", "sklearn", "scipy", "torchjd", "pyro", "distributed", "dask", "joblib", "sympy")
COMPILER = "torch._dynamo"


HELP = """
from bogc.cli import app
try:
    app(["--help"])
except SystemExit as done:
    assert done.code == 0
"""
STAGES = {
    "bogc": "import bogc",
    "training": "import bogc.training",
    "help": HELP,
    "the test sees what is imported": "import scipy.stats",
}


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Those of the slow modules that one fresh interpreter has after each stage."""
    tell = f"print('LOADED', *[name for name in {(*SLOW, COMPILER)!r} if name in sys.modules])"
    command = "import sys\n" + "".join(f"{code}\n{tell}\n" for code in STAGES.values())
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    return {stage: set(line.split()[1:]) for stage, line in zip(STAGES, lines, strict=True)}


@pytest.mark.parametrize("stage", list(STAGES)[:-1])
def test_slow_packages_are_imported_where_they_are_needed(stage: str, loaded: dict[str, set[str]]):
    assert loaded[stage] == set()


def test_the_test_sees_what_is_imported(loaded: dict[str, set[str]]):
    assert "scipy" in loaded["the test sees what is imported"]
