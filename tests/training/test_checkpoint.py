import pickle
from pathlib import Path

import pytest
import torch

from bogc.errors import CheckpointError
from bogc.training import checkpoint


def test_round_trip(tmp_path: Path):
    state = {"digest": "abc", "weights": {"w": torch.randn(3)}, "step": 7}
    checkpoint.save(tmp_path / "c.pt", state)
    loaded = checkpoint.load(tmp_path / "c.pt", "abc")
    assert loaded["step"] == 7
    assert torch.equal(loaded["weights"]["w"], state["weights"]["w"])


def test_rejects_another_configuration(tmp_path: Path):
    checkpoint.save(tmp_path / "c.pt", {"digest": "abc"})
    with pytest.raises(CheckpointError, match="must belong to configuration xyz; found abc"):
        checkpoint.load(tmp_path / "c.pt", "xyz")


@pytest.mark.parametrize("kept", [0, 1, 100, 400])
def test_rejects_a_truncated_file(tmp_path: Path, kept: int):
    path = tmp_path / "c.pt"
    checkpoint.save(path, {"digest": "abc", "w": torch.randn(100)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="must be a complete checkpoint"):
        checkpoint.load(path, "abc")


def test_missing_file(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"none.pt must be a complete checkpoint; found .*No such file"):
        checkpoint.load(tmp_path / "none.pt", "abc")


class Malicious:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch says that the file is none of its own
def test_executes_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "c.pt").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CheckpointError, match="must be a complete checkpoint"):
        checkpoint.load(tmp_path / "c.pt", "abc")
    assert "executed" not in capsys.readouterr().out
