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
@pytest.mark.parametrize(
    ("backend", "frame", "sources", "each"),
    [("inductor", "sign", 2, 3), ("aot_eager", "sign", 1, 2), ("aot_eager", "reliability", 3, 2)],
)
def test_compiled_equals_eager_and_compiles_a_function_a_fixed_number_of_times(backend, frame, sources, each):
    """In an interpreter without the import hook of the tests, which the compiler cannot trace.

    Two functions serve all models: one compilation each for rows, one each for matrices. Inductor writes a
    sum over a row of more than 4,096 elements in another way, and compiles once more for it.
    """
    command = [sys.executable, "-m", "tests.calibration.unhooked", backend, frame, str(sources)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["error"] < 2e-5
    assert found["compilations"] == [2 * each] * 2  # none in the second round
