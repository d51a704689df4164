"""Pickles that hold NumPy arrays and plain values, read without running anything else that they name.

A pickle is a program: it may name any function and have it called. Here only those functions can be named
that rebuild arrays; every other name is refused before it is looked up.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

import numpy as np

from bogc.errors import DataError

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
