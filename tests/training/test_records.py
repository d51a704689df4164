from pathlib import Path

import pytest

from bogc.training import records
from bogc.training.records import Recorder


def test_resuming_drops_what_will_be_made_again(tmp_path: Path):
    with Recorder(tmp_path, 0) as recorder:
        for step in (1, 2, 3):
            recorder.write("step", step, {"losses": {"fusion": step / 2}})
    with Recorder(tmp_path, 2) as recorder:
        recorder.write("step", 3, {"losses": {"fusion": 9.0}})
    kept = records.read(tmp_path / "records.jsonl")
    assert [(r["step"], r["losses"]["fusion"]) for r in kept] == [(1, 0.5), (2, 1.0), (3, 9.0)]


def test_a_cut_off_last_line_is_dropped(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"kind": "step", "step": 1}\n{"kind": "st')
    assert records.read(path) == [{"kind": "step", "step": 1}]
    assert records.last(path) == {"step": {"kind": "step", "step": 1}}


def test_missing_file_has_no_records(tmp_path: Path):
    assert records.read(tmp_path / "none.jsonl") == []


def test_last_looks_only_at_the_end(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(f'{{"kind": "step", "step": {i}}}\n' for i in range(1000)))
    assert records.last(path, window=100) == {"step": {"kind": "step", "step": 999}}


@pytest.mark.skipif(not records.TENSORBOARD, reason="tensorboard is not installed")
def test_numbers_reach_tensorboard(tmp_path: Path):
    with Recorder(tmp_path, 0) as recorder:
        recorder.write("step", 1, {"losses": {"fusion": 0.5}, "note": "text"})
    assert list((tmp_path / "tensorboard").iterdir())


def test_works_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(records, "TENSORBOARD", False)
    with Recorder(tmp_path, 0) as recorder:
        recorder.write("step", 1, {"losses": {"fusion": 0.5}})
    assert not (tmp_path / "tensorboard").exists()
    assert len(records.read(tmp_path / "records.jsonl")) == 1
