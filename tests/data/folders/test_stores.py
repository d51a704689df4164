from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bogc.data.folders import stores
from bogc.data.folders.stores import find_store, read_stored
from bogc.errors import DataError, UnsuitableError

ARRAYS = {"1/mean": np.arange(3.0), "NAME": np.arange(6, dtype=np.int16).reshape(2, 3)}


def check_read(path: Path) -> None:
    found = read_stored(path, ["NAME", "1/mean"])
    assert list(found) == ["NAME", "1/mean"]
    for name, values in found.items():
        np.testing.assert_array_equal(values, ARRAYS[name])
        assert values.dtype == ARRAYS[name].dtype
    with pytest.raises(DataError, match="must hold all arrays asked for"):
        read_stored(path, ["other"])


def test_npz_archives_are_read_by_name(tmp_path: Path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    check_read(tmp_path / "a.npz")


def test_hdf5_files_are_read_by_name(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in ARRAYS.items():
            file[name] = values
        file["text"] = "words"
    check_read(tmp_path / "a.h5")
    for name in ("text", "1"):
        with pytest.raises(DataError, match=r"a\.h5"):
            read_stored(tmp_path / "a.h5", [name])
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"must be a file \.h5 of arrays"):
        read_stored(tmp_path / "a.h5", ["NAME"])


def test_hdf5_without_h5py_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stores, "_H5PY", None)
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(UnsuitableError, match=r"needs the package h5py.*pip install 'bogc\[folders\]'"):
        read_stored(tmp_path / "a.h5", ["NAME"])


def test_what_h5py_raises_becomes_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, mode: str) -> None:
        raise OSError("truncated file")

    monkeypatch.setattr(stores, "_H5PY", SimpleNamespace(File=refuse))
    with pytest.raises(DataError, match=r"must be a file \.h5 of arrays; found truncated file"):
        read_stored(tmp_path / "a.h5", ["NAME"])


def test_damaged_other_and_hostile_files_are_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", objects=np.array([print], dtype=object), words=np.array(["a"]))
    with pytest.raises(DataError, match=r"must be a file \.npz of arrays"):
        read_stored(tmp_path / "a.npz", ["objects"])
    with pytest.raises(DataError, match="words must be an array of numbers"):
        read_stored(tmp_path / "a.npz", ["words"])
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:40])
    with pytest.raises(DataError, match=r"must be a file \.npz of arrays"):
        read_stored(tmp_path / "a.npz", ["words"])
    with pytest.raises(DataError, match=r"must end in \.h5 or \.npz; found '\.txt'"):
        read_stored(tmp_path / "a.txt", ["words"])


def test_hdf5_comes_before_npz_and_one_must_be_there(tmp_path: Path):
    with pytest.raises(DataError, match=r"must be a file \.h5 or \.npz; found neither"):
        find_store(tmp_path / "a.b", "Fetch it.")
    (tmp_path / "a.b.npz").touch()
    assert find_store(tmp_path / "a.b", "Fetch it.").name == "a.b.npz"
    (tmp_path / "a.b.h5").touch()
    assert find_store(tmp_path / "a.b", "Fetch it.").name == "a.b.h5"
