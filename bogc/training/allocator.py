"""The C library's allocator, told to keep what is freed: a training step asks for the same memory again."""

import ctypes
import sys
from typing import Final

TRIM_THRESHOLD: Final = -1  # numbers of parameters in glibc's malloc.h
MMAP_THRESHOLD: Final = -3
NEVER: Final = -1
LARGEST: Final = 32 * 2**20  # bytes; glibc takes no larger threshold on 64 bits


def keep_freed_memory() -> bool:
    """Keep freed blocks of up to 32 MiB for the next step, in this process, from now on.

    glibc returns large blocks to the system when they are freed, and the next step pays for every page of its
    gradients again, which can take longer than computing them. In exchange the process stays as large as it
    was at its peak, or a few blocks larger: an aligned block does not always fit where one like it has been.

    Returns:
        Whether the C library can; where it is not glibc, nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST)) and bool(mallopt(TRIM_THRESHOLD, NEVER))
