"""What is kept of a run on disk: whole files, sealed checkpoints, records, and what it was made with."""

import hashlib
import io
import json
import os
import platform
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final
from uuid import uuid4

import torch
from filelock import FileLock, Timeout

from bogc.errors import BogcError, CheckpointError, LockedError, StorageError

LOCK: Final = ".lock"
_TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{32}")
START_AGAIN: Final = "Delete the run folder to start again."


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what a file system refuses into a StorageError that names ``path``."""
    try:
        yield
    except BogcError:
        raise
    except OSError as error:
        remedy = "Free or change the disk or folder, and start again: what was saved before is as it was."
        raise StorageError(str(path), "must be writable", error.strerror or error, remedy) from error


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write to a temporary neighbour, flush it to disk and rename it over ``path``.

    Raises:
        StorageError: The file system refuses; ``path`` is as it was.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            with temporary.open("xb") as file:  # unlike a tempfile, readable by whom the umask lets
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def alone_in(folder: Path, inside: bool = True) -> Iterator[None]:
    """Keep other runs out of ``folder``, made if need be, and sweep what killed ones left half-written.

    The lock is the operating system's: it ends with the process that holds it, however that ends.

    Args:
        folder: What is locked.
        inside: Whether folders in it are swept too.

    Raises:
        LockedError: Another run is at work there.
        StorageError: The file system refuses.
    """
    lock = FileLock(folder / LOCK)
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            remedy = "Wait for it, stop it, or choose another --out."
            raise LockedError(str(folder), "must be used by one run at a time", "another", remedy) from None
    try:
        for path in folder.rglob(".*") if inside else folder.glob(".*"):
            if _TEMPORARY.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()
        yield
    finally:
        lock.release()


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    write_atomically(path, lambda file: file.write(text.encode() + b"\n"))


def read_json(path: Path, remedy: str = START_AGAIN) -> dict[str, Any]:
    """Read an object of JSON.

    Raises:
        StorageError: The file is missing or damaged.
    """
    try:
        return _object(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(str(path), "must be a complete JSON object", error, remedy) from None


def _object(text: bytes) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__}")
    return found


_SEAL: Final = b"bogc-sha256:"  # at the end, where torch.load passes over it


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state``, nested containers of tensors and plain values; a crash leaves the previous file.

    The file is what torch.save writes, and behind it its SHA-256.
    """
    content = io.BytesIO()
    torch.save(dict(state), content)
    payload = content.getbuffer()
    seal = _SEAL + hashlib.sha256(payload).digest()
    write_atomically(path, lambda file: (file.write(payload), file.write(seal)))


def load_checkpoint(path: Path, digest: str, data: str | None = None) -> dict[str, Any]:
    """Read a checkpoint, once its content is known to be what was written; no code in it is executed.

    Args:
        path: The file.
        digest: Of the configuration that it must belong to.
        data: Fingerprint of the data and split that it must belong to; None for any.

    Raises:
        CheckpointError: The file is missing, damaged, without a seal, or of another configuration or data.
    """
    payload = _unsealed(path)
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # it is whole, but whoever made it may have put in anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(str(path), "must be a complete checkpoint", reason, START_AGAIN) from None
    if not isinstance(state, dict) or state.get("digest") != digest:
        found = state.get("digest") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(str(path), f"must belong to configuration {digest}", found, START_AGAIN)
    if data is not None and state.get("data") != data:
        rule = "must have been made with the data and the split that are here now"
        remedy = "Bring the former data back, or delete the run folder to start again."
        raise CheckpointError(str(path), rule, "others", remedy)
    return state


def _unsealed(path: Path) -> bytes:
    rule, length = "must be a complete checkpoint", len(_SEAL) + hashlib.sha256().digest_size
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(str(path), rule, error, START_AGAIN) from None
    payload, seal = content[:-length], content[-length:]
    if not seal.startswith(_SEAL):
        found = "no SHA-256 at its end: it is cut off, or of an earlier version"
        raise CheckpointError(str(path), rule, found, START_AGAIN)
    if seal != _SEAL + hashlib.sha256(payload).digest():
        raise CheckpointError(str(path), rule, "other content than was written", START_AGAIN)
    return payload


KINDS: Final = frozenset({"step", "epoch"})


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the complete records of a file; a last line cut off by a crash is dropped. Missing: empty.

    Raises:
        StorageError: Another line is damaged.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is not complete
    return [_record(path, number, line) for number, line in enumerate(lines, start=1)]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = _object(line)
        if not isinstance(record.get("step"), int) or not isinstance(record.get("kind"), str):
            raise ValueError("a record without kind and step")
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path}, line {number}", "must be a record", error, START_AGAIN) from None
    return record


def last_records(path: Path, window: int = 200_000) -> dict[str, dict[str, Any]]:
    """Return the last complete record of each kind within the last ``window`` bytes."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - window, 0))
        lines = file.read().split(b"\n")[:-1]
    found: dict[str, dict[str, Any]] = {}
    for line in reversed(lines):
        if line.startswith(b"{"):  # the first line of the window may be cut off
            record = json.loads(line)
            found.setdefault(record["kind"], record)
        if found.keys() >= KINDS:
            break
    return found


class Recorder:
    """Appends records to ``records.jsonl``, each with the optimiser step at which it was made.

    On resuming at ``step``, records of later steps, which will be made again, are removed first.
    """

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / "records.jsonl"
        kept = [record for record in read_records(path) if record["step"] <= step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomically(path, lambda file: file.write(text.encode()))
        self.path = path
        with storing(path):
            self._file = path.open("a", encoding="utf-8")
            self._board = _board(folder / "tensorboard", step)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with storing(self.path):
            try:
                self._file.close()
            finally:
                if self._board is not None:
                    self._board.close()

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one record at once; numbers in it, however nested, also go to TensorBoard."""
        with storing(self.path):
            self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
            self._file.flush()
            if self._board is not None:
                for name, number in _numbers(kind, values):
                    self._board.add_scalar(name, number, step)


def _board(folder: Path, step: int) -> Any:
    """Writer for TensorBoard, which is an optional dependency; None without it."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def _numbers(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(f"{prefix}/{name}", value)
        elif isinstance(value, int | float):
            yield f"{prefix}/{name}", value


Making = Callable[[], Mapping[str, Any]]


class RunWriter(ABC):
    """Keeps what it is given; content comes as a function, so that what is not kept is not made."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[None]:
        """Keep other runs out.

        Raises:
            LockedError: There is another.
        """

    @abstractmethod
    def json(self, name: str, make: Making) -> None:
        """Write a JSON file."""

    @abstractmethod
    def checkpoint(self, name: str, make: Making) -> None:
        """Write a checkpoint."""

    @abstractmethod
    def saved(self, digest: str, data: str | None = None) -> dict[str, Any] | None:
        """Read the checkpoint of a run that was interrupted; None if there is none.

        Raises:
            CheckpointError: It is another configuration's, of other data, or damaged.
        """

    @abstractmethod
    def recording(self, step: int) -> AbstractContextManager[Any]:
        """Open the records for those made after ``step``; ``record`` needs it."""

    @abstractmethod
    def record(self, kind: str, step: int, make: Making) -> None:
        """Append a record."""


class FolderWriter(RunWriter):
    """Keeps in a folder: records.jsonl, and what is named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._recorder: Recorder | None = None

    def alone(self) -> AbstractContextManager[None]:
        """See the base class."""
        return alone_in(self.folder)

    def json(self, name: str, make: Making) -> None:
        """See the base class."""
        write_json(self.folder / name, make())

    def checkpoint(self, name: str, make: Making) -> None:
        """See the base class; StorageError if the folder was taken away meanwhile."""
        if not self.folder.is_dir():
            remedy = "Put it back, or start again: a new folder would lack what was recorded in the old one."
            raise StorageError(str(self.folder), "must stay while a run writes to it", "nothing", remedy)
        save_checkpoint(self.folder / name, make())

    def saved(self, digest: str, data: str | None = None) -> dict[str, Any] | None:
        """See the base class."""
        path = self.folder / "checkpoint.pt"
        return load_checkpoint(path, digest, data) if path.exists() else None

    def recording(self, step: int) -> AbstractContextManager[Any]:
        """See the base class."""
        self._recorder = Recorder(self.folder, step)
        return self._recorder

    def record(self, kind: str, step: int, make: Making) -> None:
        """See the base class."""
        if self._recorder is not None:
            self._recorder.write(kind, step, make())


class NoWriter(RunWriter):
    """Keeps nothing."""

    def alone(self) -> AbstractContextManager[None]:
        """See the base class."""
        return nullcontext()

    def json(self, name: str, make: Making) -> None:
        """See the base class."""

    def checkpoint(self, name: str, make: Making) -> None:
        """See the base class."""

    def saved(self, digest: str, data: str | None = None) -> dict[str, Any] | None:
        """See the base class."""
        return None

    def recording(self, step: int) -> AbstractContextManager[Any]:
        """See the base class."""
        return nullcontext()

    def record(self, kind: str, step: int, make: Making) -> None:
        """See the base class."""


def versions() -> dict[str, str]:
    """Date, Python, packages and processor."""
    packages = {name: version(name) for name in ("bogc", "torch", "pyro-ppl", "numpy", "scipy")}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    date = datetime.now(UTC).date().isoformat()
    return {
        "date": date,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "gpu": gpu,
        **packages,
    }


def environment(processes: int) -> dict[str, str]:
    """What the bits of a result depend on beside configuration and data."""
    found = versions()
    del found["date"]
    return found | {"threads": str(torch.get_num_threads()), "processes": str(processes)}
