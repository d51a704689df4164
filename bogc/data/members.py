"""Members of an archive, read into memory: nothing is extracted, so no path in it can lead anywhere."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

from bogc.errors import DataError

_BLOCK = 1 << 20  # bytes
_DAMAGE = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile)  # gzip's error is an OSError


def read_tar(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Read regular files of a gzipped tar archive; of two with one name, the first.

    Args:
        path: The archive.
        names: Names of its members, exactly as they are stored.

    Returns:
        Name to content.

    Raises:
        DataError: The archive is damaged or truncated, or has no such regular file.
    """
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    if member.name in names and member.name not in contents and member.isreg():
                        file = archive.extractfile(member)
                        assert file is not None  # as it is for every regular file
                        contents[member.name] = file.read()
            while stream.read(_BLOCK):
                pass  # the checksum comes last
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    _check_complete(path, names, contents)
    return contents


def read_zip(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Read files of a zip archive, such as a wheel; arguments and errors are those of :func:`read_tar`."""
    try:
        with zipfile.ZipFile(path) as archive:
            stored = set(archive.namelist())
            contents = {name: archive.read(name) for name in names if name in stored}
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    _check_complete(path, names, contents)
    return contents


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(str(path), "must be a complete archive", error, "Delete it, and fetch it again.")


def _check_complete(path: Path, names: Collection[str], contents: dict[str, bytes]) -> None:
    missing = sorted(set(names) - contents.keys())
    if missing:
        raise DataError(str(path), f"must hold the files {missing}", "none of that name", "Fetch it again.")
