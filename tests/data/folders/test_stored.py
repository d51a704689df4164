import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bogc.data.folders.stored import read_npy, read_pickled
from bogc.errors import DataError


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


def test_a_missing_file_is_refused(tmp_path: Path):
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
