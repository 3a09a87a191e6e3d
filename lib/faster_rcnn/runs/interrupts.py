"""Signals to a training: SIGINT and SIGTERM stop it after a checkpoint, SIGHUP asks for one."""
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from faster_rcnn.runs import processes

STOPPING = (signal.SIGINT, signal.SIGTERM)
WRITING = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()     # Windows has none


class Interrupted(Exception):
    """A training that was stopped by a signal, after its checkpoint was written."""

    def __init__(self, number: int, where: str, checkpoint: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} {where}; all is kept in "
                         f"{checkpoint}")
        self.exit_status = 128 + number


class SignalWatch:
    """A context that notes signals, for `received` to return.

    A second SIGINT ends the process at once (KeyboardInterrupt). Outside the main thread, where
    Python cannot handle signals, nothing is received.
    """

    def __init__(self) -> None:
        self._received = 0
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> "SignalWatch":
        if threading.current_thread() is threading.main_thread():
            for number in (*STOPPING, *WRITING):
                self._handlers_before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None,
                 traceback: TracebackType | None) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received in STOPPING:
            raise KeyboardInterrupt
        if self._received not in STOPPING:
            self._received = number

    def received(self) -> int:
        """The number of the signal that has come, 0 for none; rank 0's, in all processes."""
        number = processes.broadcast(self._received)
        if self._received in WRITING:
            self._received = 0
        return number
