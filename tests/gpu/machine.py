"""The device that is measured: whether it is there, what it is called, its clock and its memory."""

import gc
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import torch

import bogc
from bogc.checks import check_device
from bogc.errors import DeviceError

Work = Callable[[], object]


@dataclass(frozen=True)
class Machine:
    """A CUDA device; or a CPU, for a dry run of tiny sizes whose figures mean nothing.

    Attributes:
        device: As torch calls it.
    """

    device: torch.device

    @property
    def dry(self) -> bool:
        """Whether this is a dry run."""
        return self.device.type == "cpu"

    @property
    def name(self) -> str:
        """Name of the card, as its driver has it."""
        return "cpu, dry run" if self.dry else torch.cuda.get_device_name(self.device)

    @property
    def folder(self) -> str:
        """``name`` as a folder: letters, digits and hyphens."""
        words = "".join(c.lower() if c.isalnum() else " " for c in self.name).split()
        return "-".join(words)

    def about(self) -> dict[str, object]:
        """What a figure depends on: card, date and versions."""
        versions = {"python": platform.python_version(), "torch": str(torch.__version__)}
        versions |= {"bogc": bogc.__version__, "cuda": str(torch.version.cuda)}
        with suppress(PackageNotFoundError):
            versions["torchjd"] = version("torchjd")
        date = datetime.now(UTC).date().isoformat()
        return {"device": self.name, "dry": self.dry, "date": date, "versions": versions}

    def milliseconds(self, work: Work, times: int) -> float:
        """Time of one ``work`` in a row of ``times``: between CUDA events, or CPU time."""
        if self.dry:
            started = time.process_time()
            for _ in range(times):
                work()
            return 1000 * (time.process_time() - started) / times
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(self.device)
        start.record()
        for _ in range(times):
            work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / times

    def allocated(self) -> int:
        """Bytes of tensors that are alive; 0 in a dry run."""
        return 0 if self.dry else torch.cuda.memory_allocated(self.device)

    def peak(self, work: Work) -> int | None:
        """Most bytes alive at any time of ``work``; None in a dry run, which has no such count."""
        if self.dry:
            return None
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device)

    def clear(self) -> None:
        """Give freed memory back, so that one measurement does not disturb the next."""
        if not self.dry:
            gc.collect()
            torch.cuda.synchronize(self.device)
            torch.cuda.empty_cache()


def find(name: str) -> Machine:
    """The machine called ``name``: cuda, cuda:1, ..., or cpu.

    Raises:
        DeviceError: It is something else, or not there.
    """
    remedy = "Run it where torch sees a CUDA device, or try all parts with --device cpu."
    if name != "cpu" and not name.startswith("cuda"):
        raise DeviceError("device", "must be cuda, cuda:N or cpu", repr(name), remedy)
    if name != "cpu" and not torch.cuda.is_available():
        found = f"none (torch {torch.__version__})"
        raise DeviceError("device", "must be a CUDA device that torch can use", found, remedy)
    check_device("device", name)
    device = torch.device(name)
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)  # events are recorded on its stream
    return Machine(device)
