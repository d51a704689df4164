"""What docs/distributed.md shows runs as it stands, in real processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bogc.errors import ConfigError
from bogc.methods import EVERYWHERE, METHODS, PROCESSES, SHARDS, TABLES, build_balancer
from bogc.models import MultimodalClassifier, ProductOfExperts

ROOT = Path(__file__).parents[1]
FORMS = (EVERYWHERE, (PROCESSES,), ())
TEXT = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")


def block(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n(?:```\w+\n)?(.*?)(?:```\n)?<!-- /{marker} -->", TEXT, re.DOTALL)
    assert found, marker
    return found.group(1)


def shown(marker: str) -> list[list[str]]:
    """Words of the lines that begin with a prompt."""
    lines = [line.removeprefix("$ ").split() for line in block(marker).splitlines() if line.startswith("$ ")]
    assert lines
    return lines


def run(line: list[str], folder: Path) -> str:
    """What a command prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_train(tmp_path: Path):
    printed = [run(line, tmp_path) for line in shown("commands")]
    assert len(list((tmp_path / "runs").rglob("result.json"))) == len(printed) == 2
    for text in printed:
        assert text.count("Run folder:") == 1  # the first process alone speaks


def test_the_loop_reports_one_loss_in_all_processes(tmp_path: Path):
    (tmp_path / "mine.py").write_text(block("example"), encoding="utf-8")
    (line,) = shown("own")
    printed = run(line, tmp_path)
    twice = "".join(printed.split())  # both write at once: a line's end may come after the other's line
    first, second = twice[: len(twice) // 2], twice[len(twice) // 2 :]
    assert first == second
    assert float(first) > 0


def test_the_exact_methods_are_those_that_say_so():
    lines = [set(re.findall(r"`([a-z0-9-]+)`", line)) for line in block("exact").splitlines()]
    assert sorted(name for line in lines for name in line) == sorted(METHODS)
    sharded = set(re.findall(r"`([a-z0-9-]+)`", block("sharded")))
    samples = {"a": torch.zeros(2, 4, 4), "b": torch.zeros(2, 4, 4)}
    for name, spec in METHODS.items():
        kind = ProductOfExperts if spec.model == "product of experts" else MultimodalClassifier
        model = kind.for_samples(samples, 3, features=4)
        settings = TABLES[spec.table]() if spec.table else None
        balancer = build_balancer(name, model, settings, steps=1)
        supports = () if balancer.estimator.needs_closure else balancer.supports
        assert (name in sharded) == (SHARDS in supports), name
        spread = tuple(part for part in supports if part != SHARDS)
        assert [name in line for line in lines].index(True) == FORMS.index(spread), name


@pytest.mark.parametrize("estimator", ["grouped", "per-sample"])
def test_references_within_the_batch_are_refused_over_micro_batches(estimator: str):
    model = MultimodalClassifier.for_samples({"a": torch.zeros(4), "b": torch.zeros(4)}, 3, features=4)
    balancer = build_balancer("bogc", model, TABLES["calibration"](estimator=estimator), steps=1)
    output = model({"a": torch.randn(8, 4), "b": torch.randn(8, 4)})
    with pytest.raises(ConfigError, match="looks at the samples of one batch"):
        balancer.accumulate({"fusion": output.fused.square().mean(1)})
