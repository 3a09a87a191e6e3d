"""Requests take turns at the detector; who would wait too long is sent away."""
import contextlib
import threading
from collections.abc import Iterator

from faster_rcnn.serving.limits import Limits
from faster_rcnn.serving.uploads import UploadError


class Turns:
    """One request at a time; others wait, in a number and for a time that are limited."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._working = threading.Lock()
        self._places = threading.BoundedSemaphore(1 + limits.waiting)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place among those who work or wait; UploadError (503) where none is free."""
        if not self._places.acquire(blocking=False):
            raise UploadError("too many requests are waiting; try again later", 503)
        try:
            yield
        finally:
            self._places.release()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """The detector; UploadError (503) where others need it for too long."""
        if not self._working.acquire(timeout=self._limits.turn_seconds):
            raise UploadError("the detector is busy; try again later", 503)
        try:
            yield
        finally:
            self._working.release()
