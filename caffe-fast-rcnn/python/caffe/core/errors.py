"""What the engine raises where Caffe would abort the process.

Every message is one line: what is wrong, where, and what to do about it.
"""
import difflib
import os
import traceback
from collections.abc import Iterable
from typing import Any

_ENGINE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class UserError(Exception):
    """Base of every mistake that a user can mend; tools show one line, without a traceback."""


class InputError(UserError, ValueError):
    """Nets, weights, settings or data that cannot be used, alone or together."""


class CaffeError(UserError):
    """Base of everything the engine refuses."""


class PrototxtError(CaffeError):
    """A prototxt that cannot be read; the message starts with file:line:column."""


class LayerError(CaffeError):
    """A layer that cannot be built or run; the message names the layer."""


class WeightsError(CaffeError):
    """A weights or state file that cannot be read or does not fit the net."""


class ShapeMismatchError(WeightsError):
    """Weights of a layer whose blobs have other shapes in the net."""


class DataError(CaffeError):
    """A database, a list or an image that cannot be read; the message names it."""


class DeviceError(CaffeError):
    """A device that was asked for and is not there."""


def nearest(name: object, known: Iterable[object]) -> str | None:
    """The known name that is most similar, if any is; capitals do not count ("RELU": "ReLU")."""
    names = {str(k).lower(): str(k) for k in known}
    close = difflib.get_close_matches(str(name).lower(), names, n=1)
    return names[close[0]] if close else None


def suggest(name: object, known: Iterable[object]) -> str:
    """' (did you mean "x"?)' for the nearest of the known names, or an empty string."""
    found = nearest(name, known)
    return f' (did you mean "{found}"?)' if found else ""


def add_note(problem: Any, text: str) -> None:
    """Adds a line to an exception of the user's code, which keeps its type and traceback."""
    if hasattr(problem, "add_note"):    # Python 3.11
        problem.add_note(text)
    else:
        problem.__notes__ = [*getattr(problem, "__notes__", ()), text]


def note_user_code(problem: Any, what: str) -> None:
    """Notes on an exception of a user's layer where in the user's code it was raised.

    what: such as 'in forward() of layer "x" (module.Class)'. The exception keeps its type and its
    traceback; tools show `user_code_line` instead.
    """
    place = _last_place(problem)
    note = f"{place}: {what}" if place else what
    add_note(problem, note)
    if not isinstance(problem, UserError) and not hasattr(problem, "user_code_line"):
        sentence = " ".join(str(problem).split())
        problem.user_code_line = f"{note}: {type(problem).__name__}: {sentence}".rstrip(": ")


def user_code_line(problem: BaseException) -> str | None:
    """One line for an exception of a user's layer (file:line, layer, error); None for others."""
    return getattr(problem, "user_code_line", None)


def _last_place(problem: BaseException) -> str:
    """file:line of the innermost frame that belongs neither to the engine nor to a library."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def _is_library(file: str) -> bool:
    return (file.startswith((_ENGINE, "<")) or "site-packages" in file
            or file.startswith(os.path.dirname(os.__file__)))
