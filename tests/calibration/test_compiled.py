import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bogc.calibration import Compiled
from bogc.errors import UnsuitableError

ROOT = Path(__file__).parents[2]


def test_without_a_compiler_it_is_refused_when_made(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    match = "kernel needs a C.. compiler; found no no-such-compiler on the PATH. Install g"
    with pytest.raises(UnsuitableError, match=match):
        Compiled()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine")
def test_compiled_equals_eager():
    """In an interpreter without the import hook of the tests, which the compiler cannot trace."""
    command = [sys.executable, "-m", "tests.calibration.unhooked"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    errors = json.loads(done.stdout)
    assert errors
    for name, error in errors.items():
        assert error < 2e-5, name
