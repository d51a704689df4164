"""What is kept of a run on disk; of several processes, only the first keeps anything."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from bogc.training import checkpoint
from bogc.training.files import write_json
from bogc.training.records import Recorder

Making = Callable[[], Mapping[str, Any]]


class Keeper(ABC):
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


class Folder(Keeper):
    """Keeps in a folder: records.jsonl, and what is named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._recorder: Recorder | None = None

    def json(self, name: str, make: Making) -> None:
        """See the base class."""
        write_json(self.folder / name, make())

    def checkpoint(self, name: str, make: Making) -> None:
        """See the base class."""
        checkpoint.save(self.folder / name, dict(make()))

    def saved(self, digest: str) -> dict[str, Any] | None:
        """See the base class."""
        path = self.folder / "checkpoint.pt"
        return checkpoint.load(path, digest) if path.exists() else None

    def recording(self, step: int) -> AbstractContextManager[Any]:
        """See the base class."""
        self._recorder = Recorder(self.folder, step)
        return self._recorder

    def record(self, kind: str, step: int, make: Making) -> None:
        """See the base class."""
        if self._recorder is not None:
            self._recorder.write(kind, step, make())


class Nowhere(Keeper):
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
