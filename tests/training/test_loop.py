import json
import signal
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from bogc.errors import CheckpointError, NonFiniteError
from bogc.methods import METHODS, CalibrationSettings
from bogc.training import TrainConfig, loop, train
from bogc.training.loop import Progress, evaluate_best, fit, prepare
from bogc.training.metrics import Scores
from bogc.training.storage import load_checkpoint, read_records
from tests import tiny
from tests.processes import CONTEXT

CONFIG = TrainConfig(
    dataset="tests.tiny:load", epochs=3, batch_size=16, features=8, device="cpu", log_every=2
)


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "ogm-ge-released"])  # needs Conv2d
def test_a_run_leaves_everything_and_learns(method: str, tmp_path: Path):
    seen: list[Progress] = []
    result = train(replace(CONFIG, method=method, epochs=8), tiny.load(), tmp_path, seen.append)
    assert result["test"]["fused"]["accuracy"] > 0.6
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert {p.name for p in tmp_path.iterdir()} >= {
        "config.json",
        "records.jsonl",
        "checkpoint.pt",
        "best.pt",
        "fit.json",
    }
    kinds = [record["kind"] for record in read_records(tmp_path / "records.jsonl")]
    assert kinds.count("epoch") == 8
    assert kinds.count("step") == len(seen) == result["steps"] // 2


def test_same_seed_same_weights(tmp_path: Path):
    first, second = (train(CONFIG, tiny.load(), tmp_path / name) for name in "ab")
    assert first["test"] == second["test"]
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    other = train(replace(CONFIG, seed=1), tiny.load(), tmp_path / "c")
    assert other["validation"]["nll"] != first["validation"]["nll"]


def test_a_fit_does_not_read_the_test_part_and_testing_adds_to_it(tmp_path: Path):
    parts = prepare(CONFIG, tiny.load())
    fitted = fit(CONFIG, replace(parts, test=parts.train), tmp_path)
    assert "test" not in fitted
    assert not (tmp_path / "result.json").exists()
    assert fitted == json.loads((tmp_path / "fit.json").read_text())
    result = evaluate_best(CONFIG, parts, tmp_path)
    assert {k: v for k, v in result.items() if k != "test"} == fitted
    whole = train(CONFIG, tiny.load(), tmp_path / "whole")
    assert (whole["test"], whole["validation"]) == (result["test"], result["validation"])


def test_testing_needs_a_fit(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"best.pt must be a complete checkpoint"):
        evaluate_best(CONFIG, prepare(CONFIG, tiny.load()), tmp_path)


def test_memory_of_a_step_grows_with_the_network_and_is_the_same_again(tmp_path: Path):
    parts = prepare(CONFIG, tiny.load())
    sizes = {
        (features, attempt): fit(
            replace(CONFIG, features=features, epochs=1), parts, tmp_path / f"{features}-{attempt}"
        )
        for features in (8, 64)
        for attempt in range(2)
    }
    peaks = {key: fitted["peak_step_bytes"] for key, fitted in sizes.items()}
    assert peaks[8, 0] == peaks[8, 1] < peaks[64, 0] == peaks[64, 1]
    for key, fitted in sizes.items():
        assert peaks[key] >= 3 * 4 * fitted["parameters"]  # weights, momentum, gradients


def test_a_validation_loss_that_is_not_finite_is_divergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "score", lambda logits, targets: Scores(0.5, 0.5, float("nan"), 0.1))
    with pytest.raises(NonFiniteError, match="validation loss must be finite; found nan"):
        fit(CONFIG, prepare(CONFIG, tiny.load()), tmp_path)
    assert not (tmp_path / "fit.json").exists()


def test_patience_stops_on_validation_alone(tmp_path: Path):
    result = train(replace(CONFIG, epochs=60, patience=2, lr=1e-6), tiny.load(), tmp_path)
    assert result["epochs"] < 60
    assert result["epochs"] == result["best_epoch"] + 3


def test_svi_inside_the_loop_follows_the_closed_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After a step of a tiny network the two ends are apart by at most 5 % of the distance moved."""
    monkeypatch.setattr(loop, "_step_bytes", lambda *arguments: 0)  # one more step of SVI takes seconds
    # one factor for all blocks: matching each block lengthens a short one, and its error with it, to 5.4 %
    settings = CalibrationSettings(estimator="grouped", groups=4, scaling="match-plain-sum")
    small = replace(CONFIG, epochs=1, batch_size=90, features=2, settings={"calibration": settings})
    train(small, tiny.load(), tmp_path / "closed")
    train(small.altered({"calibration.inference": "svi"}), tiny.load(), tmp_path / "svi")
    train(replace(small, method="sum", lr=1e-12), tiny.load(), tmp_path / "start")
    closed, svi, start = (weights(tmp_path / name) for name in ("closed", "svi", "start"))
    moved = torch.linalg.vector_norm(closed - start)
    assert moved > 0
    assert torch.linalg.vector_norm(svi - closed) < 0.05 * moved


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path):
    train(CONFIG, tiny.load(), tmp_path)
    with pytest.raises(CheckpointError, match="must belong to configuration"):
        train(replace(CONFIG, lr=0.5), tiny.load(), tmp_path)


def test_killed_at_any_moment_it_ends_bit_identical(tmp_path: Path):
    """SIGKILL the process twice at arbitrary moments after its first checkpoint, then let it finish.

    That each method's state continues bit for bit is for the conformance test to show.
    """
    config = replace(CONFIG, method="bogc", epochs=12, checkpoint_every=3)
    train(config, tiny.load(), tmp_path / "whole" / config.run_name)
    folder = tmp_path / "killed" / config.run_name
    kills = 0
    for attempt in range(2):
        process = start(config, tmp_path / "killed")
        records_before = lines(folder)
        while process.is_alive() and lines(folder) < records_before + 5 + 7 * attempt:
            time.sleep(0.005)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 1, "no kill came in time: the test showed nothing"
    assert not (folder / "result.json").exists() or kills < 2
    process = start(config, tmp_path / "killed")
    process.join()
    assert process.exitcode == 0
    assert_same_weights(tmp_path / "whole" / config.run_name, folder)
    whole, killed = (
        read_records(f / "records.jsonl") for f in (tmp_path / "whole" / config.run_name, folder)
    )
    assert whole == killed


def start(config: TrainConfig, out: Path) -> BaseProcess:
    process = CONTEXT.Process(target=work, args=(config, out), daemon=True)
    process.start()
    return process


def work(config: TrainConfig, out: Path) -> None:
    torch.set_num_threads(1)
    train(config, tiny.load(), out / config.run_name)


def lines(folder: Path) -> int:
    path = folder / "records.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def weights(folder: Path) -> torch.Tensor:
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return torch.cat([value.flatten() for name, value in state["model"].items() if value.is_floating_point()])


def assert_same_weights(first: Path, second: Path) -> None:
    digests = [torch.load(f / "checkpoint.pt", weights_only=True)["digest"] for f in (first, second)]
    assert digests[0] == digests[1]
    one, two = (load_checkpoint(f / "checkpoint.pt", digests[0])["model"] for f in (first, second))
    assert all(torch.equal(one[name], two[name]) for name in one)
