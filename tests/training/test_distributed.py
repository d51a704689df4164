"""Training in several processes: the run of one process to rounding, whatever dies on the way."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bogc.distributed import ProcessGroup, SingleProcess, current_group
from bogc.errors import BogcError, ConfigError, ProcessError, UnsuitableError
from bogc.models import ModalOutputs
from bogc.training import TrainConfig, train
from bogc.training.loop import Listener, Progress
from bogc.training.storage import read_records
from tests import tiny
from tests.processes import finish, start, together

CONFIG = TrainConfig(
    dataset="tests.tiny:load",
    epochs=4,
    batch_size=15,
    features=8,
    device="cpu",
    log_every=1,
    checkpoint_every=4,
)
ROUNDING = 1e-10  # in float64
METHODS = ("joint", "sum", "ogm-ge", "mimo", "i2m2", "mmpareto", "pcgrad", "inverse-variance", "bogc")


def exact_losses(outputs: ModalOutputs, targets: Tensor) -> dict[str, Tensor]:
    """As in training, but without its float32, in which rounding grows to 1e-4 within these steps."""
    logits = {"fusion": outputs.fused, **outputs.unimodal}
    return {s: cross_entropy(z, targets, reduction="none") for s, z in logits.items()}


def trained(
    config: TrainConfig, folder: Path, listen: Listener, team: ProcessGroup, shard: bool = False
) -> dict[str, Any]:
    """Train on the tiny data in float64."""
    data = tiny.load()
    data = replace(data, inputs={m: x.double() for m, x in data.inputs.items()})
    with patch("bogc.training.state.per_sample_losses", exact_losses):
        return train(config, data, folder, listen, team, shard=shard)


def alone(config: TrainConfig, folder: Path) -> dict[str, Any]:
    return trained(config, folder, lambda progress: None, SingleProcess())


def weights(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
    return {name: value.double() for name, value in found.items()}


def largest_gap(one: Path, other: Path) -> float:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def killed_at(step: int, rank: int) -> Listener:
    def listen(progress: Progress) -> None:
        if progress.step == step and current_group().rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)

    return listen


def work(
    rank: int, size: int, configs: list[TrainConfig], folder: Path, step: int = 0, shard: bool = False
) -> list:
    """Train each config; the last process dies at ``step``. Fits, or errors, and files of one's own."""
    found: list = []
    for config in configs:
        try:
            listen = killed_at(step, size - 1)
            found.append(trained(config, folder / config.run_name, listen, current_group(), shard))
        except BogcError as error:
            found.append(error)
    return found


def test_a_run_killed_on_two_processes_goes_on_with_one_and_with_four(tmp_path: Path):
    """Process 1 is killed at step 10; the last checkpoint is of step 8."""
    name = CONFIG.run_name
    whole = alone(CONFIG, tmp_path / "whole" / name)
    processes = start(work, 2, tmp_path / "meet", [CONFIG], tmp_path / "killed", 10)
    ((error,),) = finish(processes, tmp_path / "meet", only=(0,))
    assert isinstance(error, ProcessError)
    assert "process group must reach every process" in str(error)
    assert processes[1].exitcode == -signal.SIGKILL
    state = torch.load(tmp_path / "killed" / name / "checkpoint.pt", weights_only=True)
    assert state["position"]["step"] == 8
    for size, folder in ((1, tmp_path / "one"), (4, tmp_path / "four")):
        shutil.copytree(tmp_path / "killed", folder)
        ((result,), *_) = together(work, size, tmp_path / f"meet {size}", [CONFIG], folder)
        assert largest_gap(folder / name, tmp_path / "whole" / name) < ROUNDING
        assert result["processes"] == size
        assert result["validation"]["accuracy"] == whole["validation"]["accuracy"]
        assert result["test"]["fused"]["accuracy"] == whole["test"]["fused"]["accuracy"]
        kept = read_records(folder / name / "records.jsonl")
        expected = read_records(tmp_path / "whole" / name / "records.jsonl")
        assert [(r["kind"], r["step"]) for r in kept] == [(r["kind"], r["step"]) for r in expected]
        for one, other in zip(kept, expected, strict=True):
            assert one["losses"] == pytest.approx(other["losses"], rel=1e-9)


def test_a_sharded_run_that_is_killed_goes_on_alone_and_on_three(tmp_path: Path):
    config = replace(CONFIG, optimiser="adamw", lr=0.002, epochs=2)
    name = config.run_name
    alone(config, tmp_path / "whole" / name)
    processes = start(work, 2, tmp_path / "meet", [config], tmp_path / "killed", 10, True)
    finish(processes, tmp_path / "meet", only=(0,))
    for size, shard in ((1, False), (3, True)):
        folder = tmp_path / f"on {size}"
        shutil.copytree(tmp_path / "killed", folder)
        ((result,), *_) = together(work, size, tmp_path / f"meet {size}", [config], folder, 0, shard)
        assert largest_gap(folder / name, tmp_path / "whole" / name) < ROUNDING
        assert result["sharded"] is shard


def sharded(rank: int, size: int, folder: Path) -> list:
    return work(rank, size, [replace(CONFIG, method=m) for m in ("mmpareto", "i2m2")], folder, shard=True)


def test_shards_are_refused_alone_and_by_methods_that_do_not_support_them(tmp_path: Path):
    for errors in together(sharded, 2, tmp_path / "meet", tmp_path / "runs"):
        for error in errors:
            assert isinstance(error, UnsuitableError)
            assert "must be exact on a batch that is spread over sharded parameters" in str(error)
    with pytest.raises(ConfigError, match="shard needs several processes; found 1"):
        train(CONFIG, tiny.load(), tmp_path / "runs", shard=True)
    assert not (tmp_path / "runs").exists()


def methods_at_work(rank: int, size: int, folder: Path) -> list:
    return work(rank, size, [replace(CONFIG, method=m, epochs=1) for m in METHODS], folder)


def test_two_processes_train_like_one_by_every_method_that_is_exact(tmp_path: Path):
    first, second = together(methods_at_work, 2, tmp_path / "meet", tmp_path / "two")
    for method, fitted, other in zip(METHODS, first, second, strict=True):
        config = replace(CONFIG, method=method, epochs=1)
        alone(config, tmp_path / "one" / config.run_name)
        gap = largest_gap(tmp_path / "one" / config.run_name, tmp_path / "two" / config.run_name)
        assert gap < ROUNDING, method
        assert "test" in fitted, method
        assert "test" not in other
    folders = sorted(path.name for path in (tmp_path / "two").iterdir())
    assert len(folders) == len(METHODS)
    files = {path.name for path in (tmp_path / "two" / folders[0]).iterdir()} - {"tensorboard", ".lock"}
    assert files == {"config.json", "records.jsonl", "checkpoint.pt", "best.pt", "fit.json", "result.json"}


def test_what_cannot_be_exact_is_refused_before_a_file_is_written(tmp_path: Path):
    configs = [
        replace(CONFIG, method="cggm"),
        replace(CONFIG, method="cggm-released"),
        replace(CONFIG, batch_size=2),
    ]
    for found in together(work, 4, tmp_path / "meet", configs, tmp_path / "runs"):
        kinds = [type(error) for error in found]
        assert kinds == [UnsuitableError, UnsuitableError, ConfigError]
        assert "must be exact on a batch that is spread over processes; found CGGM" in str(found[0])
        assert "batch_size must have a sample for each of 4 processes; found 2" in str(found[2])
    assert not (tmp_path / "runs").exists()


def per_sample(rank: int, size: int, folder: Path) -> list:
    settings = replace(CONFIG.calibration, estimator="per-sample")
    return work(rank, size, [replace(CONFIG, settings={"calibration": settings})], folder)


def test_per_sample_moments_are_refused_where_batch_norm_is_over_processes(tmp_path: Path):
    for (error,) in together(per_sample, 2, tmp_path / "meet", tmp_path / "runs"):
        assert isinstance(error, UnsuitableError)
        assert "estimator must be exact on a batch that is spread over processes" in str(error)
