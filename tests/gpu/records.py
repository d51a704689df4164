"""What is kept of a part: a JSON file, written anew after each of its rows."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def write(path: Path, value: Row) -> None:
    """Write to a neighbour and rename it over ``path``: a reader finds the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    neighbour = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with neighbour.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(neighbour, path)
    finally:
        neighbour.unlink(missing_ok=True)


def read(path: Path) -> Row | None:
    """What ``write`` has written; None if there is no such file, or it holds something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    good = isinstance(found, dict) and isinstance(found.get("rows"), dict) and "device" in found
    return found if good else None


def in_words(error: BaseException) -> str:
    """One line that says what went wrong."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def failures(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Name and text of everything that failed, however deep."""
    if isinstance(value, dict):
        if isinstance(value.get("failed"), str):
            yield name, value["failed"]
        for key, inner in value.items():
            yield from failures(inner, f"{name}: {key}" if name else str(key))
