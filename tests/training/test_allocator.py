"""In processes of their own: what is set holds for the rest of a process."""

import platform
import subprocess
import sys

import pytest

from bogc.training import allocator

GLIBC = platform.libc_ver()[0] == "glibc"
BLOCKS = 8 * 16_000_000  # bytes
WORK = """
import resource, runpy, torch
{setting}
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
torch.ones(10)
before = resident()
blocks = [torch.ones(4_000_000) for _ in range(8)]
del blocks
print(resident() - before)
"""


def kept(setting: str) -> int:
    """Bytes that a process still holds once blocks of 16 MB are freed for the first time."""
    command = [sys.executable, "-c", WORK.format(setting=setting)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_what_is_freed_stays_with_the_process():
    assert kept("") < 0.2 * BLOCKS
    keep = f"assert runpy.run_path({allocator.__file__!r})['keep_freed_memory']()"  # without the package
    assert kept(keep) > 0.8 * BLOCKS


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory() is False
    monkeypatch.setattr(allocator.sys, "platform", "win32")
    assert allocator.keep_freed_memory() is False
