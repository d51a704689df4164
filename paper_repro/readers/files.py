"""Where a data set lies, and the arrays in its files: pickles, HDF5, npz and npy.

Its folder is named by an environment variable, as nobody may pass the data on. A pickle is a program: it may
name any function and have it called. Here only those functions can be named that rebuild arrays; every other
name is refused before it is looked up.
"""

import importlib
import io
import os
import pickle
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor

from bogc.errors import ConfigError, DataError, UnsuitableError


def folder_named_by(variable: str) -> Path:
    """Give the folder that the environment variable ``variable`` names.

    Raises:
        ConfigError: The variable is not set, or names no folder.
    """
    value = os.environ.get(variable, "")
    remedy = f"Set it with: export {variable}=/path/to/the/data."
    if not value:
        raise ConfigError(variable, "must name the folder of the data", "nothing", remedy)
    path = Path(value).expanduser()
    if not path.is_dir():
        raise ConfigError(variable, "must name a folder", repr(value), remedy)
    return path


def existing(path: Path, remedy: str) -> Path:
    """Give ``path`` back; DataError with this remedy if there is no such file or folder."""
    if not path.exists():
        raise DataError(str(path), "must exist", "nothing of that name", remedy)
    return path


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


_REBUILD: Final[Any] = np.empty(0).__reduce__()[0]
_SCALAR: Final[Any] = np.float64(0).__reduce__()[0]
_FROM_BUFFER: Final[Any] = np.empty(0).__reduce_ex__(5)[0]


def _latin_1(text: str, encoding: str) -> bytes:
    """Encode as protocols 0 to 2 do with the bytes of an array; another encoding could be anybody's code."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin-1")


def _empty() -> bytes:
    """What protocols 0 to 2 name ``bytes`` for, when an array is empty."""
    return b""


_ALLOWED: Final[Mapping[tuple[str, str], Any]] = MappingProxyType(
    {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _REBUILD,  # as NumPy 1 names it
        ("numpy._core.multiarray", "_reconstruct"): _REBUILD,
        ("numpy.core.multiarray", "scalar"): _SCALAR,
        ("numpy._core.multiarray", "scalar"): _SCALAR,
        ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
        ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
        ("_codecs", "encode"): _latin_1,
        ("__builtin__", "bytes"): _empty,
        ("__builtin__", "set"): set,  # as Python 2 names it
        ("builtins", "set"): set,
    }
)


def read_arrays(path: Path, encoding: str = "ASCII") -> Any:
    """Read a pickle of arrays, numbers, strings, lists, tuples, sets and dicts, nested at will.

    Args:
        path: The file.
        encoding: Of the strings in a pickle of Python 2; "latin1" if it holds arrays.

    Raises:
        DataError: The file is missing or damaged, or names anything but what rebuilds arrays.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(str(path), "must be a readable file", error, "Check the path.") from error
    try:
        return _ArraysOnly(io.BytesIO(content), encoding=encoding).load()
    except _RefusedError as error:
        remedy = "Do not load it otherwise unless you trust whoever made it: it would run code."
        raise DataError(str(path), "must hold arrays and plain values only", error, remedy) from None
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(str(path), "must be a complete pickle", repr(error), "Fetch it again.") from error


class _RefusedError(Exception):
    """A name that is not allowed."""


@final
class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Give what a name in the pickle stands for."""
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"the name {module}.{name}")
        return _ALLOWED[module, name]


Spectrogram = Float32[Tensor, "1 rows columns"]


def read_npy(path: Path, random: np.random.Generator | None = None) -> Spectrogram:
    """Read an array of a ``.npy`` file as one channel, without running code that it may hold.

    Args:
        path: The file.
        random: Not used: what is stored is the whole.

    Raises:
        DataError: It is missing, damaged, or not one matrix of finite numbers.
    """
    try:
        values = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except Exception as error:  # a damaged file may raise anything, and numpy's advice then is to unpickle it
        found = error if isinstance(error, OSError) else "damage, or objects"
        raise DataError(str(path), "must be an array in a .npy file", found, "Compute it again.") from error
    return _channel(path, values)


def read_pickled(path: Path, random: np.random.Generator | None = None) -> Spectrogram:
    """Read a pickled array as one channel; as above."""
    return _channel(path, read_arrays(path))


def _channel(path: Path, values: Any) -> Spectrogram:
    right = isinstance(values, np.ndarray) and values.ndim == 2 and np.issubdtype(values.dtype, np.floating)
    if not right or values.size == 0:
        found = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values)
        raise DataError(str(path), "must hold one matrix of floats", found, "Compute it again.")
    matrix = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    if not bool(matrix.isfinite().all()):
        raise DataError(str(path), "must hold finite numbers", "NaN or infinity", "Compute it again.")
    return matrix.unsqueeze(0)
