"""Arrays that lie in a file mapped into memory, copied without holding the file as well."""
import mmap

import numpy as np

_PIECE = 1 << 24        # bytes


def copy(target, array):
    """target[...] = array of the same shape, piece by piece.

    What is mapped counts as memory of the process once it was read, so that copying a whole file
    would take its size twice; here every piece is forgotten again behind the copy.
    """
    if not array.ndim or array.nbytes <= _PIECE:
        target[...] = array
        _forget(array)
        return
    step = max(1, _PIECE * len(array) // array.nbytes)
    for begin in range(0, len(array), step):
        target[begin:begin + step] = array[begin:begin + step]
        _forget(array[begin:begin + step])


def _forget(array):
    """Lets go of the pages under an array, if it lies in a mapped file; they can be read again."""
    file = array
    while isinstance(file, np.ndarray):
        file = file.base
    file = file.obj if isinstance(file, memoryview) else file
    if not isinstance(file, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    start = np.frombuffer(file, np.uint8).ctypes.data
    begin = -(-(array.ctypes.data - start) // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (array.ctypes.data - start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > begin:
        file.madvise(mmap.MADV_DONTNEED, begin, end - begin)
