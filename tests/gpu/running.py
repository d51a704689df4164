"""Parts one after the other, row by row; what is there already is not made again."""

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from tests.gpu import bandwidth, precision, steps, suite, training
from tests.gpu.machine import Machine
from tests.gpu.progress import say, working
from tests.gpu.records import Row, failures, in_words, read, write

Rows = Mapping[str, Callable[[], Row]]
"""Name of a row -> what makes it."""

PARTS: Final[Mapping[str, Callable[[Machine], Rows]]] = {
    "suite": suite.rows,
    "precision": precision.rows,
    "training": training.rows,
    "bandwidth": bandwidth.rows,
    "steps": steps.rows,
}
"""What is quick comes first: where time runs out, it is in the long table of steps."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        machine: Where.
        out: Folder of the results; those of a card are in one of its name.
        parts: Names, of PARTS.
        again: Whether rows that are there are made again.
        minutes: After which no further row is begun.
    """

    machine: Machine
    out: Path
    parts: Sequence[str]
    again: bool = False
    minutes: float = 8.0


def run(plan: Plan) -> bool:
    """Do all parts; what fails is kept as such, and tried again by the next run.

    Returns:
        Whether everything is there and nothing failed.
    """
    # some products of cuBLAS are deterministic with this only, and it is read before the first of them
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if plan.machine.dry:
        torch.set_num_threads(1)  # sizes are too small to share
    stop = time.monotonic() + 60 * plan.minutes
    good = [_part(plan, name, stop) for name in plan.parts]
    return all(good)


def _part(plan: Plan, name: str, stop: float) -> bool:
    path = plan.out / plan.machine.folder / f"{name}.json"
    wanted, about = PARTS[name](plan.machine), plan.machine.about()
    made = {} if plan.again else _kept(path, about)
    for row, make in wanted.items():
        if row in made:
            continue
        if time.monotonic() > stop:
            say(f"{name}: time is up before {row}; the same command goes on from there")
            return False
        made[row] = _row(plan.machine, f"{name}: {row}", make)
        order = {key: made[key] for key in (*wanted, *made) if key in made}
        seconds = round(sum(found["seconds"] for found in order.values()), 1)
        whole = wanted.keys() <= made.keys()
        write(path, {"part": name, **about, "seconds": seconds, "whole": whole, "rows": order})
    failed = list(failures(made))
    for where, text in failed:
        say(f"{name}: {where} failed: {text}")
    say(f"{name}: {'done' if not failed else f'{len(failed)} failed'}, {path}")
    return not failed


def _kept(path: Path, about: Row) -> dict[str, Row]:
    """Rows of an earlier run with the same versions, but for those in which something failed."""
    found = read(path)
    if found is None or found.get("versions") != about["versions"]:
        return {}
    return {name: row for name, row in found["rows"].items() if not any(failures(row))}


def _row(machine: Machine, title: str, make: Callable[[], Row]) -> Row:
    started = time.perf_counter()
    with working(title), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = make()
            json.dumps(found, allow_nan=False)  # a figure that is no number is a failure of the row
        except Exception as error:  # of whatever kind: it is kept, and the other rows are made
            found = {"failed": in_words(error)}
    try:
        machine.clear()
    except RuntimeError as error:  # a device that an earlier failure has left unusable
        found.setdefault("failed", in_words(error))
    return {**found, "seconds": round(time.perf_counter() - started, 1)}
