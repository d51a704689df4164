"""Pickles of arrays, read without running what they say.

A pickle is a program: it may name any function and have it called, and it may fill any object that it has
made with any state. Here a name gives a word of ours that does one thing and cannot be changed; every other
name is refused before it is looked up. Arrays are rebuilt from their bytes, whose number is compared with
shape and dtype first: NumPy itself would take a pickle's word for it.
"""

import io
import math
import pickle
import pickletools
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from bogc.errors import DataError

_VALUES: Final = (str, bytes, int, float, bool, type(None))
_PLAIN: Final = re.compile(r"b1|[iu][1248]|f[248]|[SU]\d{1,6}|O8")


class _RefusedError(Exception):
    """Something that a pickle of arrays does not hold."""


class _Word(NamedTuple):
    """What a name stands for; a tuple, as a pickle could set the attributes of a function or class."""

    do: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.do(*arguments)


class _Kind:
    """A dtype as a pickle describes it, of which the code and the order of bytes are taken."""

    def __init__(self, code: Any, *flags: Any) -> None:
        text = code.decode("latin-1") if isinstance(code, bytes) else str(code)
        if not _PLAIN.fullmatch(text):
            raise _RefusedError(f"the dtype {text!r}")
        self._code, self._order = text, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
        self._order = {"<": "<", ">": ">", "|": "=", "=": "="}[order]

    def dtype(self) -> np.dtype[Any]:
        """Make the real one."""
        return np.dtype(self._order + self._code)


class _Array(np.ndarray[Any, Any]):
    """An array that is filled by ``_filled`` alone."""

    def __setstate__(self, state: tuple[Any, ...], /) -> None:
        values = _filled(*state[1:])
        content = values.ravel().tolist() if values.dtype.hasobject else values.tobytes()
        super().__setstate__((1, values.shape, values.dtype, False, content))  # type: ignore[arg-type]


def _filled(shape: Any, kind: Any, fortran: Any, content: Any) -> NDArray[Any]:
    """Make an array of bytes, or of a list of objects, that are as many as shape and dtype say."""
    if not isinstance(kind, _Kind) or not isinstance(shape, tuple):
        raise _RefusedError("an array without shape and dtype")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise _RefusedError(f"the shape {shape}")
    dtype, order = kind.dtype(), "F" if fortran in (True, "F") else "C"
    given = content.encode("latin-1") if isinstance(content, str) else content
    held, unit = (list, 1) if dtype.hasobject else ((bytes, bytearray), dtype.itemsize)
    if not isinstance(given, held) or len(given) != math.prod(shape) * unit:
        raise _RefusedError(f"another content than an array of {dtype} {list(shape)} has")
    if math.prod(shape) == 0:
        return np.empty(shape, dtype)
    if isinstance(given, list):
        if strange := {type(value).__name__ for value in given if type(value) not in _VALUES}:
            raise _RefusedError(f"an array of objects of type {sorted(strange)[0]}")
        objects = np.empty(len(given), dtype)
        objects[:] = given
        return objects.reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]
    if dtype.kind == "U" and (np.frombuffer(given, dtype.str[0] + "u4") > sys.maxunicode).any():
        raise _RefusedError("letters that there are none of")
    return np.frombuffer(given, dtype).reshape(shape, order=order).copy()  # type: ignore[call-overload, no-any-return]


def _empty_array(*arguments: Any) -> Any:
    return _Array(0)


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    return _filled(shape, kind, order, content)


def _scalar(kind: Any, content: Any) -> Any:
    return _filled((), kind, False, content)[()]


def _latin_1(text: str, encoding: str) -> bytes:
    """Encode as protocols 0 to 2 do with the bytes of an array; another encoding could be anybody's code."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """What protocols 0 to 2 name ``bytes`` for, when an array is empty."""
    return b""


_MODULES: Final = ("numpy.core", "numpy._core")  # as NumPy 1 and 2 name them
_WORDS: Final[Mapping[tuple[str, str], Any]] = MappingProxyType(
    {
        ("numpy", "ndarray"): _Word(_empty_array),
        ("numpy", "dtype"): _Word(_Kind),
        **{(f"{module}.multiarray", "_reconstruct"): _Word(_empty_array) for module in _MODULES},
        **{(f"{module}.multiarray", "scalar"): _Word(_scalar) for module in _MODULES},
        **{(f"{module}.numeric", "_frombuffer"): _Word(_from_buffer) for module in _MODULES},
        ("_codecs", "encode"): _Word(_latin_1),
        ("__builtin__", "bytes"): _Word(_no_bytes),
        ("__builtin__", "set"): _Word(set),  # as Python 2 names it
        ("builtins", "set"): _Word(set),
    }
)


@final
class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Give what a name in the pickle stands for."""
        if (module, name) not in _WORDS:
            raise _RefusedError(f"the name {module}.{name}")
        return _WORDS[module, name]


def read_arrays(path: Path, encoding: str = "ASCII") -> Any:
    """Read a pickle of arrays, numbers, strings, lists, tuples, sets and dicts, nested at will.

    Arrays hold numbers, or strings of one length; those of objects, such as names of samples, hold
    strings and numbers.

    Args:
        path: The file.
        encoding: Of the strings in a pickle of Python 2; "latin1" if it holds arrays.

    Raises:
        DataError: The file is missing or damaged, or names or holds anything else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(str(path), "must be a readable file", error, "Check the path.") from error
    try:
        _check_memory(content)
        return _ArraysOnly(io.BytesIO(content), encoding=encoding).load()
    except _RefusedError as error:
        remedy = "Do not load it otherwise unless you trust whoever made it: it would run code."
        raise DataError(str(path), "must hold arrays and plain values only", error, remedy) from None
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(str(path), "must be a complete pickle", repr(error), "Fetch it again.") from error


def _check_memory(content: bytes) -> None:
    """Refuse a place in the memory of the machine beyond its steps: all before it would be allocated."""
    for steps, (code, argument, _) in enumerate(pickletools.genops(content)):
        if code.name.endswith("PUT") and isinstance(argument, int) and argument > steps:
            raise _RefusedError(f"the place {argument} in memory after {steps} steps")
