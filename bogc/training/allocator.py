"""The C library's allocator, told to keep what is freed: a training step asks for the same memory again."""

import ctypes
from typing import Final

TRIM_THRESHOLD: Final = -1  # numbers of parameters in glibc's malloc.h
MMAP_MAX: Final = -4
NEVER: Final = -1


def keep_freed_memory() -> bool:
    """Never hand freed memory back to the system, in this process, from now on.

    glibc returns a large block when it is freed, and the next step pays for every page of its gradients
    again, which can take longer than computing them. Costs what the process no longer needs between steps.

    Returns:
        Whether the C library can; where it is not glibc, nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_MAX, 0)) and bool(mallopt(TRIM_THRESHOLD, NEVER))
