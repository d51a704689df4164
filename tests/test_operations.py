"""A default step is few tensor operations: what a GPU pays for in launches."""

import json
import subprocess
import sys

import pytest

Counts = dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def counts() -> Counts:
    """Of a process of its own: checks of types at run time look at what a step reports, and compute it."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.operations"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found: Counts = json.loads(done.stdout)
    return found


def test_at_most_four_times_those_of_the_plain_step_and_three_on_large_networks(counts: Counts):
    for name, found in counts.items():
        large = any(kind in name for kind in ("ResNet", "transformer", "BERT"))
        assert found["bogc"] <= (3 if large else 4) * found["plain sum"], name


def test_a_further_layer_adds_at_most_three_times_what_it_adds_to_the_plain_step(counts: Counts):
    plain, calibrated = (
        counts["8 layers"][contestant] - counts["4 layers"][contestant]
        for contestant in ("plain sum", "bogc")
    )
    assert 0 < calibrated <= 3 * plain
