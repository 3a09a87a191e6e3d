"""How the process deals with freed main memory."""
import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3       # glibc: malloc.h
_USERS_CHOICE = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory():
    """Tells glibc's malloc to keep what is freed for the next tensor of that size.

    By default it gives every block over 32 MB back to the system, which then clears and maps all
    its pages anew in the next pass: on the CPU a fifth of the time of a VGG16 net on a picture of
    600 x 800. Does nothing with another C library, or where the user has set malloc's variables.
    """
    if any(name in os.environ for name in _USERS_CHOICE):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 1 << 30)
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
