"""A lock on the results of a run, so that two runs never write the same files."""
import contextlib
import datetime
import fcntl
import glob
import os
import re
import socket
from types import TracebackType

from caffe.core.errors import UserError
from faster_rcnn.runs import processes

# What caffe.files.atomic names a file until it is whole: .<name>.<eight digits>.partial
_UNFINISHED = re.compile(r"\.[0-9a-f]{8}\.partial$")


class LockedError(UserError):
    """Results that another run is writing."""


class RunLock:
    """A context in which only this run writes the results that belong to the file `path`.

    The system releases the lock with the process, however that ends, so a lock file that is left
    over locks nothing. Of several processes rank 0 holds the lock.
    LockedError says which run holds it.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.lock")
        self._file = -1

    def __enter__(self) -> "RunLock":
        if processes.is_first():
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            while not self._acquired():
                pass                # the file was removed by a run that ended just then
            os.ftruncate(self._file, 0)
            now = datetime.datetime.now().isoformat(" ", "seconds")
            os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}, since {now}"
                     .encode())
        return self

    def _acquired(self) -> bool:
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 1000).decode("utf-8", "replace") or "another run"
            os.close(self._file)
            raise LockedError(
                f"{holder} is writing the results in {os.path.dirname(self.path)}; wait for it, "
                "stop it, or choose another folder (--set EXP_DIR NAME)") from None
        try:
            is_present = os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except FileNotFoundError:
            is_present = False
        if not is_present:
            os.close(self._file)
        return is_present

    def __exit__(self, kind: type | None, problem: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if self._file >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path)
            os.close(self._file)


def sweep(stem: str) -> None:
    """Removes the unfinished files that killed runs left of files whose paths start with `stem`.

    To be called by the run that holds the lock.
    """
    if not processes.is_first():
        return
    folder, name = os.path.split(stem)
    for path in glob.glob(os.path.join(glob.escape(folder), f".{glob.escape(name)}*")):
        if _UNFINISHED.search(path):
            with contextlib.suppress(OSError):
                os.remove(path)
