"""What a running training does on SIGINT and SIGHUP (Caffe: util/signal_handler.cpp)."""
import enum
import signal
from types import FrameType
from typing import Any


class Action(enum.IntEnum):
    """What a solver is asked to do between two iterations (Caffe: SolverAction)."""

    NONE = 0
    STOP = 1
    SNAPSHOT = 2


class SignalHandler:
    """Remembers signals until `requested` is called; a context that restores the old handlers.

    sigint, sighup: the Action each stands for.
    """

    def __init__(self, sigint: Action = Action.STOP, sighup: Action = Action.SNAPSHOT) -> None:
        self._actions: dict[int, Action] = {signal.SIGINT: sigint}
        if hasattr(signal, "SIGHUP"):       # not on Windows
            self._actions[signal.SIGHUP] = sighup
        self._received: set[int] = set()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "SignalHandler":
        for number in self._actions:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *problem: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received.add(number)

    def requested(self) -> Action:
        """The action of the signals since the last call; STOP takes precedence over SNAPSHOT."""
        actions = {self._actions[number] for number in tuple(self._received)}
        self._received.clear()
        return next((action for action in (Action.STOP, Action.SNAPSHOT) if action in actions),
                    Action.NONE)
