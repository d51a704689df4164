"""What is kept of a run on disk: whole files, checkpoints, records, and what a result was made with."""

import json
import os
import pickle
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from uuid import uuid4

import torch

from bogc.errors import CheckpointError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write to a temporary neighbour, flush it to disk and rename it over ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("xb") as file:  # unlike a tempfile, readable by whom the umask lets
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    write_atomically(path, lambda file: file.write(text.encode() + b"\n"))


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state``, nested containers of tensors and plain values; a crash leaves the previous file."""
    write_atomically(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path, digest: str) -> dict[str, Any]:
    """Read a checkpoint of the run whose config has ``digest``; no code in the file is executed.

    Raises:
        CheckpointError: The file is missing, truncated, not a checkpoint, or of another configuration.
    """
    remedy = "Delete the run folder to start again."
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(str(path), "must be a complete checkpoint", reason, remedy) from None
    if not isinstance(state, dict) or state.get("digest") != digest:
        found = state.get("digest") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(str(path), f"must belong to configuration {digest}", found, remedy)
    return state


KINDS = 2  # "step" and "epoch"


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the complete records of a file; a last line cut off by a crash is dropped. Missing: empty."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is not complete
    return [json.loads(line) for line in lines]


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
        if len(found) == KINDS:
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
        self._file = path.open("a", encoding="utf-8")
        self._board = _board(folder / "tensorboard", step)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one record at once; numbers in it, however nested, also go to TensorBoard."""
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
    def json(self, name: str, make: Making) -> None:
        """Write a JSON file."""

    @abstractmethod
    def checkpoint(self, name: str, make: Making) -> None:
        """Write a checkpoint."""

    @abstractmethod
    def saved(self, digest: str) -> dict[str, Any] | None:
        """Read the checkpoint of a run that was interrupted; None if there is none.

        Raises:
            CheckpointError: It is another configuration's, or damaged.
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

    def json(self, name: str, make: Making) -> None:
        """See the base class."""
        write_json(self.folder / name, make())

    def checkpoint(self, name: str, make: Making) -> None:
        """See the base class."""
        save_checkpoint(self.folder / name, dict(make()))

    def saved(self, digest: str) -> dict[str, Any] | None:
        """See the base class."""
        path = self.folder / "checkpoint.pt"
        return load_checkpoint(path, digest) if path.exists() else None

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

    def json(self, name: str, make: Making) -> None:
        """See the base class."""

    def checkpoint(self, name: str, make: Making) -> None:
        """See the base class."""

    def saved(self, digest: str) -> dict[str, Any] | None:
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
