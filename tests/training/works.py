"""Work for processes other than this one, which must import it by name."""

import os
import signal
import threading
import time
from pathlib import Path

import torch

from bogc.data import MultimodalDataset
from bogc.errors import DataError
from tests import tiny

TOGETHER: list[int] = []


def draw(seed: int) -> float:
    """A number that depends on torch's global generator, and on sharing it with nobody."""
    torch.manual_seed(seed)
    time.sleep(0.01)
    return float(torch.rand((), dtype=torch.float64))


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


def die(item: tuple[str, str, int]) -> str:
    """Kill this process at the first ``deaths`` beginnings."""
    folder, name, deaths = item
    begun = len(list(Path(folder).glob(f"{name}.*")))
    (Path(folder) / f"{name}.{begun}").touch()
    if begun < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def load_victim() -> MultimodalDataset:
    """The small data set, but whoever loads it first waits to be killed; each beginning is written down."""
    folder = Path(os.environ["BOGC_TEST_BEGUN"])
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.05)
    return tiny.load()


def load_last() -> MultimodalDataset:
    """The same under a name that no worker has loaded before."""
    return load_victim()
