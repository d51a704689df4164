"""Checkpoints: one changed bit, other data, another machine, a hostile maker."""

import io
import json
import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bogc.errors import CheckpointError, EnvironmentWarning
from bogc.training import loop
from bogc.training.loop import best_network, prepare
from bogc.training.storage import load_checkpoint, save_checkpoint
from tests import tiny

from .runs import CONFIG, fitted, last_weights, other, stopped

FLIPS = 300


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that was stopped after one step."""
    torch.set_default_dtype(torch.float32)
    folder = tmp_path_factory.mktemp("runs") / CONFIG.run_name
    stopped(CONFIG, folder)
    return folder


def test_one_flipped_bit_anywhere_is_found(half: Path, tmp_path: Path):
    """Seeded bits of the content, and every bit of what seals it."""
    whole = (half / "checkpoint.pt").read_bytes()
    bits, seal = 8 * len(whole), 8 * 44
    drawn = np.random.default_rng(0).choice(bits - seal, FLIPS, replace=False)
    path = tmp_path / "checkpoint.pt"
    for bit in [*map(int, drawn), *range(bits - seal, bits)]:
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"must be a complete checkpoint; .* to start again\.$"):
            load_checkpoint(path, CONFIG.digest)
    path.write_bytes(whole)
    assert load_checkpoint(path, CONFIG.digest)["position"]["step"] == 1


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, -44), slice(1, None), slice(0, 0), slice(-44, None)])
def test_a_part_is_not_taken_for_the_whole(half: Path, tmp_path: Path, cut: slice):
    (tmp_path / "c.pt").write_bytes((half / "checkpoint.pt").read_bytes()[cut])
    with pytest.raises(CheckpointError, match="must be a complete checkpoint"):
        load_checkpoint(tmp_path / "c.pt", CONFIG.digest)


def test_one_of_an_earlier_version_says_what_to_do(tmp_path: Path):
    torch.save({"digest": CONFIG.digest}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"or of an earlier version\. Delete the run folder to start"):
        load_checkpoint(tmp_path / "c.pt", CONFIG.digest)


class Malicious:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch says that the file is none of its own
@pytest.mark.parametrize("save", [torch.save, lambda value, file: file.write(pickle.dumps(value))])
def test_a_sealed_program_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], save, monkeypatch):
    monkeypatch.setattr(torch, "save", lambda state, file: save(Malicious(), file))
    save_checkpoint(tmp_path / "c.pt", {})
    with pytest.raises(CheckpointError, match="must be a complete checkpoint"):
        load_checkpoint(tmp_path / "c.pt", CONFIG.digest)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "kind",
    ["a value", "a label", "fewer samples", "the order of classes", "the order of modalities", "groups"],
)
def test_other_data_under_the_same_name_are_refused(half: Path, tmp_path: Path, kind: str):
    before = (half / "checkpoint.pt").read_bytes()
    with pytest.raises(
        CheckpointError, match="must have been made with the data and the split that are here"
    ):
        fitted(CONFIG, half, other(tiny.load(), kind))
    assert (half / "checkpoint.pt").read_bytes() == before
    assert not (half / "fit.json").exists()


def test_a_finished_run_is_not_measured_on_other_data(tmp_path: Path):
    fitted(CONFIG, tmp_path)
    changed = prepare(CONFIG, other(tiny.load(), "a value"))
    with pytest.raises(CheckpointError, match=r"best.pt must have been made with the data"):
        best_network(CONFIG, changed, tmp_path)


@pytest.mark.parametrize(
    "part", ["model", "optimiser", "schedule", "balancer", "position", "best", "rng", "changes"]
)
@pytest.mark.parametrize("value", [None, 7, {"step": "x"}, [torch.zeros(3)]])
def test_sealed_garbage_is_refused(half: Path, tmp_path: Path, part: str, value: object):
    """Seals say what was written, not by whom."""
    parts = prepare(CONFIG, tiny.load())
    state = torch.load(half / "checkpoint.pt", weights_only=True)
    save_checkpoint(tmp_path / "checkpoint.pt", state | {part: value})
    with pytest.raises(CheckpointError, match="checkpoint must hold the state of a run"):
        loop.fit(CONFIG, parts, tmp_path)


def test_another_environment_is_said_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stopped(CONFIG, tmp_path, steps=2)
    now = loop.environment(1) | {"threads": "7"}
    monkeypatch.setattr(loop, "environment", lambda processes: now)
    with pytest.warns(
        EnvironmentWarning, match="goes on from step 2 with threads 1 -> 7: its bits may differ"
    ):
        found = fitted(CONFIG, tmp_path)
    assert found["changes"] == [{"step": 2, "changed": {"threads": ["1", "7"]}}]
    assert json.loads((tmp_path / "fit.json").read_text())["changes"] == found["changes"]


def test_a_run_that_is_stopped_at_any_step_ends_bit_identical(tmp_path: Path):
    config = replace(CONFIG, method="bogc")
    fitted(config, tmp_path / "whole")
    with warnings.catch_warnings():
        warnings.simplefilter("error", EnvironmentWarning)
        for steps in (1, 2, 1):
            stopped(config, tmp_path / "parts", steps)
        fitted(config, tmp_path / "parts")
    one, two = last_weights(tmp_path / "whole"), last_weights(tmp_path / "parts")
    assert all(torch.equal(one[name], two[name]) for name in one)
    records = [(tmp_path / name / "records.jsonl").read_text() for name in ("whole", "parts")]
    assert records[0] == records[1]


def test_what_is_behind_the_seal_is_what_torch_writes(half: Path):
    content = (half / "checkpoint.pt").read_bytes()
    assert torch.load(io.BytesIO(content), weights_only=True)["digest"] == CONFIG.digest
