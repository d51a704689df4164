import collections
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bogc.errors import ConfigError, DataError, UnsuitableError
from paper_repro.readers import files
from paper_repro.readers.files import (
    existing,
    find_store,
    folder_named_by,
    read_npy,
    read_pickled,
    read_stored,
)
from paper_repro.readers.pickles import read_arrays


def test_a_variable_names_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BOGC_MADE", str(tmp_path))
    assert folder_named_by("BOGC_MADE") == tmp_path


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BOGC_MADE", "~")
    assert folder_named_by("BOGC_MADE") == tmp_path


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_an_error_with_the_command(value, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BOGC_MADE", raising=False)
    if value is not None:
        monkeypatch.setenv("BOGC_MADE", value)
    with pytest.raises(ConfigError, match=r"BOGC_MADE must name the folder of the data.*export BOGC_MADE="):
        folder_named_by("BOGC_MADE")


def test_a_file_is_not_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BOGC_MADE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"BOGC_MADE must name a folder; found '.*file'"):
        folder_named_by("BOGC_MADE")


def test_existing_gives_the_path_or_the_remedy(tmp_path: Path):
    assert existing(tmp_path, "Make it.") == tmp_path
    with pytest.raises(DataError, match=r"absent must exist.*Make it"):
        existing(tmp_path / "absent", "Make it.")


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
    monkeypatch.setattr(files, "_H5PY", None)
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(UnsuitableError, match=r"needs the package h5py.*pip install 'bogc\[folders\]'"):
        read_stored(tmp_path / "a.h5", ["NAME"])


def test_what_h5py_raises_becomes_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, mode: str) -> None:
        raise OSError("truncated file")

    monkeypatch.setattr(files, "_H5PY", SimpleNamespace(File=refuse))
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


KEEP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
DTYPES = st.sampled_from([np.dtype(t) for t in (">f4", "<f8", "i8", "u1", "?", "U3", "S2")])


def test_plain_values_are_read(tmp_path: Path):
    content = {"a": [1, 2.5, None, True], ("b",): {"c", b"d"}, "e": frozenset()}
    for protocol in PROTOCOLS[4:]:  # before, a frozenset names the class that makes it
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
        assert read_arrays(tmp_path / "a.pkl") == content


@KEEP
@given(
    st.sampled_from(PROTOCOLS),
    DTYPES.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))),
)
def test_arrays_survive_every_protocol(tmp_path: Path, protocol: int, values: np.ndarray):
    nested = {"train": [values, values.T]}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(nested, protocol))
    read = read_arrays(tmp_path / "a.pkl")
    unrestricted = pickle.loads((tmp_path / "a.pkl").read_bytes())["train"]
    for found, expected, plain in zip(read["train"], nested["train"], unrestricted, strict=True):
        assert found.dtype == plain.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_and_arrays_of_objects_are_read(tmp_path: Path, protocol: int):
    values = [np.float32(1.5), np.array([["id", 3], ["other", None]], dtype=object)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(values, protocol))
    scalar, objects = read_arrays(tmp_path / "a.pkl")
    assert (scalar, objects.tolist()) == (1.5, [["id", 3], ["other", None]])


def test_the_names_of_numpy_1_are_known(tmp_path: Path):
    content = pickle.dumps(np.arange(3), 2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in content
    (tmp_path / "a.pkl").write_bytes(content)
    assert read_arrays(tmp_path / "a.pkl").tolist() == [0, 1, 2]


def test_sets_and_raw_bytes_are_read_as_python_2_pickled_them(tmp_path: Path):
    array = np.array([1.5, -2.25], dtype="<f4")
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01K\x02\x85" + dtype + b"\x89U\x08" + array.tobytes() + b"tb"
    members = b"c__builtin__\nset\n](K\x03K\x04e\x85R"
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02" + members + start + state + b"\x86.")
    found, numbers = read_arrays(tmp_path / "a.pkl", encoding="latin1")
    assert found == {3, 4}
    np.testing.assert_array_equal(numbers, array)
    with pytest.raises(DataError, match="must be a complete pickle; found UnicodeDecodeError"):
        read_arrays(tmp_path / "a.pkl")


class Call:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "in an array"])
def test_a_command_is_not_run(tmp_path: Path, protocol: int, hidden: bool):
    victim = tmp_path / "made"
    attack = Call(os.system, f"touch {victim}")
    content = np.array([attack], dtype=object) if hidden else attack
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(DataError, match=r"arrays and plain values only; found the name \w+\.system"):
        read_arrays(tmp_path / "a.pkl")
    assert not victim.exists()
    pickle.loads((tmp_path / "a.pkl").read_bytes())  # the pickle does what it says when it is let
    assert victim.exists()


@pytest.mark.parametrize(
    "attack",
    [
        Call(eval, "1 + 1"),
        Call(getattr, "text", "upper"),
        Call(np.load, "file"),
        Call(__import__, "os"),
        Call(collections.OrderedDict),
    ],
    ids=["eval", "getattr", "numpy.load", "import", "harmless but not needed"],
)
def test_any_other_name_is_refused(tmp_path: Path, attack: Call):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(attack))
    with pytest.raises(DataError, match="must hold arrays and plain values only; found the name"):
        read_arrays(tmp_path / "a.pkl")


def test_a_dotted_name_does_not_lead_out_of_an_allowed_one(tmp_path: Path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.")
    with pytest.raises(DataError, match=r"the name numpy\.ndarray\.__class__"):
        read_arrays(tmp_path / "a.pkl")


def test_another_encoding_is_not_looked_up(tmp_path: Path):
    (tmp_path / "a.pkl").write_bytes(b"c_codecs\nencode\n(Vx\nVrot13\ntR.")
    with pytest.raises(DataError, match=r"must be a complete pickle; found .*encoding 'rot13'"):
        read_arrays(tmp_path / "a.pkl")


@KEEP
@given(st.data())
def test_a_damaged_file_is_refused_or_read_never_worse(tmp_path: Path, data: st.DataObject):
    content = bytearray(pickle.dumps({"a": np.arange(5.0), "b": "text"}))
    cut = data.draw(st.integers(0, len(content) - 1))
    (tmp_path / "a.pkl").write_bytes(bytes(content[:cut]))
    with pytest.raises(DataError, match="must be a complete pickle"):
        read_arrays(tmp_path / "a.pkl")


def test_a_missing_pickle_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"a\.pkl must be a readable file"):
        read_arrays(tmp_path / "a.pkl")


def write_npy(path: Path, values: object) -> Path:
    np.save(path, values, allow_pickle=True)
    return path


def write_pickle(path: Path, values: object) -> Path:
    path.write_bytes(pickle.dumps(values))
    return path


BOTH = pytest.mark.parametrize(
    ("read", "write", "name"),
    [(read_npy, write_npy, "a.npy"), (read_pickled, write_pickle, "a.pkl")],
    ids=["npy", "pickle"],
)


@BOTH
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4"])
def test_a_matrix_becomes_one_channel(tmp_path: Path, read: Callable, write: Callable, name: str, dtype: str):
    values = np.arange(6, dtype=dtype).reshape(2, 3)
    for matrix in (values, np.asfortranarray(values)):
        found = read(write(tmp_path / name, matrix))
        assert found.dtype == torch.float32
        assert found.tolist() == [[[0, 1, 2], [3, 4, 5]]]


@BOTH
@pytest.mark.parametrize(
    "values", [np.zeros(3), np.zeros((1, 2, 3)), np.zeros((0, 3)), np.zeros((2, 2), dtype=int)]
)
def test_anything_but_a_matrix_of_floats_is_refused(
    tmp_path: Path, read: Callable, write: Callable, name: str, values: np.ndarray
):
    with pytest.raises(DataError, match=rf"{name} must hold one matrix of floats; found"):
        read(write(tmp_path / name, values))


@BOTH
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(
    tmp_path: Path, read: Callable, write: Callable, name: str, wrong: float
):
    with pytest.raises(DataError, match=rf"{name} must hold finite numbers"):
        read(write(tmp_path / name, np.array([[0.0, wrong]])))


def test_a_pickle_of_something_else_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"a\.pkl must hold one matrix of floats; found <class 'list'>"):
        read_pickled(write_pickle(tmp_path / "a.pkl", [1.0]))


@pytest.mark.parametrize("keep", [0, 5, 60, 130])
def test_a_damaged_array_is_refused(tmp_path: Path, keep: int):
    path = write_npy(tmp_path / "a.npy", np.zeros((4, 4)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"a\.npy must be an array in a \.npy file; found damage"):
        read_npy(path)


def test_a_missing_array_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"a\.npy must be an array .*No such file"):
        read_npy(tmp_path / "a.npy")


class Attack:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return os.system, (f"touch {self.victim}",)


@BOTH
def test_code_is_not_run(tmp_path: Path, read: Callable, write: Callable, name: str):
    hidden = np.array([[Attack(tmp_path / "made")]], dtype=object)
    with pytest.raises(DataError, match=r"must be an array|arrays and plain values only"):
        read(write(tmp_path / name, hidden))
    assert not (tmp_path / "made").exists()
