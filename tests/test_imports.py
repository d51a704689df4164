"""What is imported, and what is only imported where it is needed: slow packages cost every start."""

import subprocess
import sys

import pytest

SLOW = ("matplotlib", "sklearn", "scipy", "torchjd", "pyro", "distributed", "dask", "joblib", "sympy")
COMPILER = "torch._dynamo"


def loaded(code: str) -> set[str]:
    """Those of the slow modules that a fresh interpreter has after running ``code``."""
    names = (*SLOW, COMPILER)
    command = f"import sys\n{code}\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")[-2].split())


HELP = """
from bogc.cli import app
try:
    app(["--help"])
except SystemExit as done:
    assert done.code == 0
"""


@pytest.mark.parametrize(
    "code", ["import bogc", "import bogc.training", HELP], ids=["bogc", "training", "help"]
)
def test_slow_packages_are_imported_where_they_are_needed(code: str):
    assert loaded(code) == set()


def test_the_test_sees_what_is_imported():
    assert "scipy" in loaded("import scipy.stats")
