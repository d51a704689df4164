"""Named arrays on disk: HDF5 files, through the optional package h5py, or NumPy's npz archives."""

import importlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bogc.errors import DataError, UnsuitableError

try:
    _H5PY: Any = importlib.import_module("h5py")
except ImportError:
    _H5PY = None

SUFFIXES: Final = (".h5", ".npz")

_DAMAGE: Final = (OSError, ValueError, EOFError, RuntimeError, TypeError, zipfile.BadZipFile, zlib.error)


def find_store(base: Path, remedy: str) -> Path:
    """Give ``base`` with the suffix .h5, or .npz if there is no such file.

    Raises:
        DataError: There is neither.
    """
    paths = [base.with_name(base.name + suffix) for suffix in SUFFIXES]
    for path in paths:
        if path.exists():
            return path
    raise DataError(str(base), f"must be a file {' or '.join(SUFFIXES)}", "neither", remedy)


def read_stored(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read arrays of numbers by name; in HDF5, ``a/b`` names dataset ``b`` of group ``a``.

    Args:
        path: A file .h5 or .npz; no object that it may hold is rebuilt.
        names: Which arrays.

    Raises:
        DataError: The file is missing, damaged or of another kind, or has no such array of numbers.
        UnsuitableError: It is HDF5, and h5py is not installed.
    """
    if path.suffix == ".h5" and _H5PY is None:
        remedy = "Run `pip install 'bogc[folders]'`, or convert the file to .npz with the same names."
        raise UnsuitableError(str(path), "needs the package h5py", "no such package", remedy)
    reader = {".h5": _from_hdf5, ".npz": _from_npz}.get(path.suffix)
    if reader is None:
        raise DataError(str(path), f"must end in {' or '.join(SUFFIXES)}", repr(path.suffix), "Convert it.")
    try:
        found = reader(path, names)
    except KeyError as error:
        raise DataError(str(path), "must hold all arrays asked for", error, "Fetch it again.") from error
    except _DAMAGE as error:
        rule = f"must be a file {path.suffix} of arrays"
        raise DataError(str(path), rule, error, "Fetch it again.") from error
    for name, values in found.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "iufb":
            raise DataError(f"{path}, {name}", "must be an array of numbers", type(values), "Fetch it again.")
    return found


def _from_hdf5(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    with _H5PY.File(path, "r") as file:
        return {name: file[name][()] for name in names}


def _from_npz(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in names}
