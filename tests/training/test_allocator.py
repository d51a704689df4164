"""In processes of their own: what is set holds for the rest of a process."""

import platform
import resource
import subprocess
import sys

import pytest

from bogc.training import allocator

GLIBC = platform.libc_ver()[0] == "glibc"
WORK = """
import resource, torch
from bogc.training import keep_freed_memory
{setting}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(20_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(setting: str) -> int:
    """Pages that making 80 MB a second time asks the system for."""
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(setting=setting)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_freed_memory_is_used_again():
    pages = 80_000_000 // resource.getpagesize()
    assert faults("") >= pages // 600  # at least one for each 2 MiB, where pages are huge
    assert faults("assert keep_freed_memory()") < pages // 2000


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory() is False
