from pathlib import Path

import pytest

from bogc.errors import CheckpointError
from bogc.training import records
from bogc.training.keeper import Folder, Nowhere


def test_a_folder_keeps_and_gives_back(tmp_path: Path):
    keeper = Folder(tmp_path / "run")
    assert keeper.saved("d") is None
    keeper.json("config.json", lambda: {"lr": 0.1})
    keeper.checkpoint("checkpoint.pt", lambda: {"digest": "d", "step": 3})
    with keeper.recording(0):
        keeper.record("step", 1, lambda: {"loss": 2.0})
    assert (tmp_path / "run" / "config.json").read_text() == '{\n  "lr": 0.1\n}\n'
    assert keeper.saved("d") == {"digest": "d", "step": 3}
    assert records.read(tmp_path / "run" / "records.jsonl") == [{"kind": "step", "step": 1, "loss": 2.0}]
    with pytest.raises(CheckpointError, match="must belong to configuration other"):
        keeper.saved("other")


def test_nowhere_keeps_nothing_and_makes_nothing():
    def make() -> dict:
        raise AssertionError("made for nothing")

    keeper = Nowhere()
    keeper.json("config.json", make)
    keeper.checkpoint("checkpoint.pt", make)
    with keeper.recording(0):
        keeper.record("step", 1, make)
    assert keeper.saved("d") is None
