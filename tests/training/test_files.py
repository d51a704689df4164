from pathlib import Path
from typing import IO

import pytest

from bogc.training.files import write_atomically, write_json


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
