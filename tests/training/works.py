"""Work for processes other than this one, which must import it by name."""

import os
import signal
import threading
import time
from pathlib import Path

import torch

from bogc.errors import DataError

TOGETHER: list[int] = []


def draw(seed: int) -> float:
    """A number that depends on torch's global generator, and on sharing it with nobody."""
    torch.manual_seed(seed)
    time.sleep(0.01)
    return float(torch.rand(()))


def threads(item: object) -> int:
    return torch.get_num_threads()


def fail(item: int) -> int:
    """Item 1 lacks data, item 2 meets a bug."""
    if item == 1:
        raise DataError("folder", "must hold pictures", "none", "Unpack them.")
    return [10][item]


def overlap(item: int) -> bool:
    """Say whether another thread of this process was at work at the same time."""
    TOGETHER.append(threading.get_ident())
    time.sleep(0.05)
    alone = TOGETHER[-1] == threading.get_ident() and len(TOGETHER) == 1
    TOGETHER.remove(threading.get_ident())
    return not alone


def note(item: tuple[str, str, int]) -> str:
    """Write down each beginning; the item whose folder holds ``victim`` waits to be killed, but not twice."""
    folder, name, _ = item
    began = Path(folder) / f"{name}.{os.getpid()}"
    began.touch()
    if (Path(folder) / f"victim.{name}").exists():
        while len(list(Path(folder).glob(f"{name}.*"))) < 2:
            time.sleep(0.05)
    return name


def die(item: tuple[str, str, int]) -> str:
    """Kill this process at the first ``deaths`` beginnings."""
    folder, name, deaths = item
    begun = len(list(Path(folder).glob(f"{name}.*")))
    (Path(folder) / f"{name}.{begun}").touch()
    if begun < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return name
