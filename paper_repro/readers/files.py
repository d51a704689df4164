"""Where a data set lies, its lists, and the arrays in its files: HDF5, npz and npy.

Its folder is named by an environment variable, as nobody may pass the data on. What its files say is not
trusted: a list cannot lead out of the folder, no object is rebuilt, no other file is read, and what is
unpacked is at most a hundred times as large as the file, or 64 MiB.
"""

import csv
import importlib
import io
import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor

from bogc.errors import ConfigError, DataError, UnsuitableError
from paper_repro.readers.pickles import read_arrays


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
    if not (is_file(path) or os.path.isdir(path)):
        raise DataError(str(path), "must exist", "nothing of that name", remedy)
    return path


def is_file(path: Path) -> bool:
    """Say whether there is such a regular file; a name that is too long for one is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def listed(place: str, name: str, remedy: str) -> str:
    """Give back a name that a list holds; DataError if it would lead out of the folder it is looked up in.

    Args:
        place: The list, and where in it.
        name: A name or path, to be put behind a folder.
        remedy: For the error.
    """
    parts = PurePosixPath(name).parts
    if not name or "\0" in name or "\\" in name or ".." in parts or name.startswith("/"):
        raise DataError(place, "must name a file below the folder", repr(name)[:80], remedy)
    return name


def read_text(path: Path, remedy: str) -> str:
    """Read a list in UTF-8, with or without a mark of byte order.

    Raises:
        DataError: It is missing, or not UTF-8; then its line is named.
    """
    try:
        content = existing(path, remedy).read_bytes()
    except OSError as error:
        raise DataError(str(path), "must be a readable file", error, remedy) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        found = f"the byte {error.object[error.start]:#04x}"
        raise DataError(f"{path}, line {number}", "must be UTF-8", found, remedy) from None


def read_lines(path: Path, remedy: str) -> list[str]:
    """Read the lines of a list; errors are those of :func:`read_text`."""
    return read_text(path, remedy).splitlines()


def read_rows(path: Path, remedy: str) -> list[tuple[int, list[str]]]:
    """Read the rows of a list separated by commas, each with the number of its line; empty ones are left out.

    Raises:
        DataError: See :func:`read_text`; a line is not of that kind.
    """
    reader = csv.reader(io.StringIO(read_text(path, remedy), newline=""))
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        place = f"{path}, line {reader.line_num}"
        raise DataError(place, "must hold values separated by commas", error, remedy) from None


try:
    _H5PY: Any = importlib.import_module("h5py")
except ImportError:
    _H5PY = None

SUFFIXES: Final = (".h5", ".npz")
NUMBERS: Final = "iufb"  # kinds of dtype
_ALWAYS: Final = 64 << 20  # bytes that may always be unpacked
_RATIO: Final = 100  # times its size that a file may be unpacked to beyond


def check_unpacked(path: Path, size: int, remedy: str = "Fetch it again.") -> None:
    """Raise DataError if ``size`` bytes are more than what a file of its size is unpacked to."""
    most = max(_ALWAYS, _RATIO * path.stat().st_size)
    if size > most:
        raise DataError(str(path), f"must unpack to {most} bytes or fewer", size, remedy)


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
        path: A file .h5 or .npz; no object that it may hold is rebuilt, no other file is opened.
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
        return reader(path, names)
    except DataError:
        raise
    except KeyError as error:
        raise DataError(str(path), "must hold all arrays asked for", error, "Fetch it again.") from error
    except Exception as error:  # a damaged file may raise anything
        rule = f"must be a file {path.suffix} of arrays"
        raise DataError(str(path), rule, error, "Fetch it again.") from error


def _from_hdf5(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    with _H5PY.File(path, "r") as file:
        found = {name: _dataset(f"{path}, {name}", file, name) for name in names}
        check_unpacked(path, sum(each.nbytes for each in found.values()))
        return {name: each[()] for name, each in found.items()}


def _dataset(place: str, file: Any, name: str) -> Any:
    """Find a dataset by plain links: others, and storage elsewhere, lead to any file there is."""
    found = file
    for part in name.split("/"):
        link = found.get(part, getlink=True)
        if link is None:
            raise KeyError(name)
        if not isinstance(link, _H5PY.HardLink):
            raise DataError(
                place, "must be stored in the file itself", type(link).__name__, "Fetch it again."
            )
        found = found[part]
    if not isinstance(found, _H5PY.Dataset) or found.dtype.kind not in NUMBERS:
        raise DataError(place, "must be an array of numbers", type(found).__name__, "Fetch it again.")
    if found.external or found.is_virtual:
        raise DataError(place, "must be stored in the file itself", "a reference", "Fetch it again.")
    return found


def _from_npz(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.getinfo(f"{name}.npy") for name in names}
        check_unpacked(path, sum(each.file_size for each in members.values()))
        found = {}
        for name, member in members.items():
            with archive.open(member) as file:
                found[name] = _parsed(f"{path}, {name}", file.read(), NUMBERS)
        return found


def float32(values: Any) -> NDArray[np.float32]:
    """Convert to float32; what is too large becomes infinite without a word, for whoever checks that."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def read_array(path: Path, rule: str, remedy: str, kinds: str = NUMBERS) -> NDArray[Any]:
    """Read a ``.npy`` file of a plain dtype, without running code that it may hold.

    Args:
        path: The file.
        rule: What it must be, for the error.
        remedy: For the error.
        kinds: Of dtype; "SU" are strings.

    Raises:
        DataError: It is missing, damaged or of another dtype.
    """
    try:
        return _parsed(str(path), path.read_bytes(), kinds)
    except Exception as error:  # a damaged file may raise anything, and numpy's advice then is to unpickle it
        found = error if isinstance(error, OSError) else "damage, or another dtype"
        raise DataError(str(path), rule, found, remedy) from error


def _parsed(place: str, content: bytes, kinds: str) -> NDArray[Any]:
    """Take an array out of the bytes of a ``.npy`` file, which must be as many as its header says."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, fortran, dtype = header[version](stream)
    if dtype.hasobject:
        raise ValueError(f"{place} holds objects")
    if dtype.kind not in kinds:
        raise DataError(place, "must be an array of numbers", dtype, "Fetch it again.")
    count = math.prod(shape)
    if len(content) - stream.tell() != count * dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError(f"{len(content) - stream.tell()} bytes for {list(shape)} of {dtype}")
    if count == 0:
        return np.empty(shape, dtype)
    values = np.frombuffer(content, dtype, count, stream.tell())
    return values.reshape(shape, order="F" if fortran else "C").copy()


Spectrogram = Float32[Tensor, "1 rows columns"]


def read_npy(path: Path, random: np.random.Generator | None = None) -> Spectrogram:
    """Read an array of a ``.npy`` file as one channel, without running code that it may hold.

    Args:
        path: The file.
        random: Not used: what is stored is the whole.

    Raises:
        DataError: It is missing, damaged, or not one matrix of finite numbers.
    """
    return _channel(path, read_array(path, "must be an array in a .npy file", "Compute it again."))


def read_pickled(path: Path, random: np.random.Generator | None = None) -> Spectrogram:
    """Read a pickled array as one channel; as above."""
    return _channel(path, read_arrays(path))


def _channel(path: Path, values: Any) -> Spectrogram:
    right = isinstance(values, np.ndarray) and values.ndim == 2 and np.issubdtype(values.dtype, np.floating)
    if not right or values.size == 0:
        found = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values)
        raise DataError(str(path), "must hold one matrix of floats", found, "Compute it again.")
    matrix = torch.from_numpy(float32(values))
    if not bool(matrix.isfinite().all()):
        raise DataError(str(path), "must hold finite numbers", "NaN or infinity", "Compute it again.")
    return matrix.unsqueeze(0)
