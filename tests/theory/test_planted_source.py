import random
import subprocess
import sys

from tests.theory.planted import planted
from tests.theory.planted_source import PACKAGE, SOURCE

EVERY, SEED = 12, 0  # change the seed to try others; `python -m tests.theory.planted_source` tries all


def test_forty_faults_that_stand_in_the_source():
    assert len(SOURCE) == len(set(SOURCE)) >= 40
    for fault in SOURCE:
        assert planted(fault, PACKAGE) != (PACKAGE / fault.file).read_text(encoding="utf-8")


def test_a_sample_of_wrong_lines_is_caught():
    first = random.Random(SEED).randrange(EVERY)
    command = [sys.executable, "-m", "tests.theory.planted_source", str(EVERY), str(first)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(SOURCE[first::EVERY])
    assert done.stdout.splitlines()[-1] == f"{count} of {count} planted faults caught"
