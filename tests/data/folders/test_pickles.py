import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bogc.data.folders.pickles import read_arrays
from bogc.errors import DataError

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


class Attack:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "in an array"])
def test_a_command_is_not_run(tmp_path: Path, protocol: int, hidden: bool):
    victim = tmp_path / "made"
    attack = Attack(os.system, f"touch {victim}")
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
        Attack(eval, "1 + 1"),
        Attack(getattr, "text", "upper"),
        Attack(np.load, "file"),
        Attack(__import__, "os"),
        Attack(collections.OrderedDict),
    ],
    ids=["eval", "getattr", "numpy.load", "import", "harmless but not needed"],
)
def test_any_other_name_is_refused(tmp_path: Path, attack: Attack):
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


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"a\.pkl must be a readable file"):
        read_arrays(tmp_path / "a.pkl")
