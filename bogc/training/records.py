"""Records of a run: one JSON object a line, mirrored to TensorBoard when it is installed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bogc.training.files import write_atomically

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # an optional dependency
    TENSORBOARD = False
else:
    TENSORBOARD = True

KINDS = 2  # "step" and "epoch"


def read(path: Path) -> list[dict[str, Any]]:
    """Return the complete records of a file; a last line cut off by a crash is dropped. Missing: empty."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is not complete
    return [json.loads(line) for line in lines]


def last(path: Path, window: int = 200_000) -> dict[str, dict[str, Any]]:
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
        kept = [record for record in read(path) if record["step"] <= step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomically(path, lambda file: file.write(text.encode()))
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1) if TENSORBOARD else None

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


def _numbers(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(f"{prefix}/{name}", value)
        elif isinstance(value, int | float):
            yield f"{prefix}/{name}", value
