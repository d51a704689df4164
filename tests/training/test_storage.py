import pickle
import sys
from datetime import date
from pathlib import Path
from typing import IO

import pytest
import torch

from bogc.errors import CheckpointError
from bogc.training.storage import (
    FolderWriter,
    NoWriter,
    Recorder,
    last_records,
    load_checkpoint,
    read_records,
    save_checkpoint,
    versions,
    write_atomically,
    write_json,
)


def test_a_failing_write_leaves_the_old_file_and_no_litter(tmp_path: Path):
    path = tmp_path / "deep" / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file: IO[bytes]) -> None:
        file.write(b"half of the ne")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_json_refuses_nan(tmp_path: Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_a_file_has_the_mode_of_one_written_directly(tmp_path: Path):
    direct, atomic = tmp_path / "direct", tmp_path / "atomic"
    direct.write_bytes(b"")
    write_atomically(atomic, lambda file: file.write(b""))
    assert atomic.stat().st_mode == direct.stat().st_mode


def test_round_trip(tmp_path: Path):
    state = {"digest": "abc", "weights": {"w": torch.randn(3)}, "step": 7}
    save_checkpoint(tmp_path / "c.pt", state)
    loaded = load_checkpoint(tmp_path / "c.pt", "abc")
    assert loaded["step"] == 7
    assert torch.equal(loaded["weights"]["w"], state["weights"]["w"])


def test_rejects_another_configuration(tmp_path: Path):
    save_checkpoint(tmp_path / "c.pt", {"digest": "abc"})
    with pytest.raises(CheckpointError, match="must belong to configuration xyz; found abc"):
        load_checkpoint(tmp_path / "c.pt", "xyz")


@pytest.mark.parametrize("kept", [0, 1, 100, 400])
def test_rejects_a_truncated_file(tmp_path: Path, kept: int):
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"digest": "abc", "w": torch.randn(100)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="must be a complete checkpoint"):
        load_checkpoint(path, "abc")


def test_missing_file(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"none.pt must be a complete checkpoint; found .*No such file"):
        load_checkpoint(tmp_path / "none.pt", "abc")


class Malicious:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch says that the file is none of its own
def test_executes_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "c.pt").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CheckpointError, match="must be a complete checkpoint"):
        load_checkpoint(tmp_path / "c.pt", "abc")
    assert "executed" not in capsys.readouterr().out


def test_resuming_drops_what_will_be_made_again(tmp_path: Path):
    with Recorder(tmp_path, 0) as recorder:
        for step in (1, 2, 3):
            recorder.write("step", step, {"losses": {"fusion": step / 2}})
    with Recorder(tmp_path, 2) as recorder:
        recorder.write("step", 3, {"losses": {"fusion": 9.0}})
    kept = read_records(tmp_path / "records.jsonl")
    assert [(r["step"], r["losses"]["fusion"]) for r in kept] == [(1, 0.5), (2, 1.0), (3, 9.0)]


def test_a_cut_off_last_line_is_dropped(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"kind": "step", "step": 1}\n{"kind": "st')
    assert read_records(path) == [{"kind": "step", "step": 1}]
    assert last_records(path) == {"step": {"kind": "step", "step": 1}}


def test_missing_file_has_no_records(tmp_path: Path):
    assert read_records(tmp_path / "none.jsonl") == []


def test_last_looks_only_at_the_end(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(f'{{"kind": "step", "step": {i}}}\n' for i in range(1000)))
    assert last_records(path, window=100) == {"step": {"kind": "step", "step": 999}}


def test_numbers_reach_tensorboard(tmp_path: Path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    with Recorder(tmp_path, 0) as recorder:
        recorder.write("step", 1, {"losses": {"fusion": 0.5}, "note": "text"})
    assert list((tmp_path / "tensorboard").iterdir())


def test_works_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with Recorder(tmp_path, 0) as recorder:
        recorder.write("step", 1, {"losses": {"fusion": 0.5}})
    assert not (tmp_path / "tensorboard").exists()
    assert len(read_records(tmp_path / "records.jsonl")) == 1


def test_a_folder_keeps_and_gives_back(tmp_path: Path):
    writer = FolderWriter(tmp_path / "run")
    assert writer.saved("d") is None
    writer.json("config.json", lambda: {"lr": 0.1})
    writer.checkpoint("checkpoint.pt", lambda: {"digest": "d", "step": 3})
    with writer.recording(0):
        writer.record("step", 1, lambda: {"loss": 2.0})
    assert (tmp_path / "run" / "config.json").read_text() == '{\n  "lr": 0.1\n}\n'
    assert writer.saved("d") == {"digest": "d", "step": 3}
    assert read_records(tmp_path / "run" / "records.jsonl") == [{"kind": "step", "step": 1, "loss": 2.0}]
    with pytest.raises(CheckpointError, match="must belong to configuration other"):
        writer.saved("other")


def test_nowhere_keeps_nothing_and_makes_nothing():
    def make() -> dict:
        raise AssertionError("made for nothing")

    writer = NoWriter()
    writer.json("config.json", make)
    writer.checkpoint("checkpoint.pt", make)
    with writer.recording(0):
        writer.record("step", 1, make)
    assert writer.saved("d") is None


def test_names_what_a_result_was_made_with():
    found = versions()
    assert date.fromisoformat(found["date"])
    assert set(found) >= {"python", "machine", "gpu", "bogc", "torch", "pyro-ppl", "numpy", "scipy"}
