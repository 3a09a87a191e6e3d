"""A program's work in parts: a process and a limit of time for each, the figures of all in a file.

    parts = [Part("nets", seconds=90), Part("operators", seconds=60)]
    run_all(parts, seconds=480, path="figures.json", about={"device": "..."}, command=command_of)

    figures = Figures(path, until)              # in the process of a part
    figures.add("VGG16", lambda: {"ours_ms": 12.5})

What breaks or hangs in a part (an error of CUDA leaves its process unusable) costs no figure that
is there already, and none of the other parts. What does not fit into the time is named as left out.
"""
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caffe.files.atomic import write_json

DONE, FAILED, STOPPED, LEFT_OUT = "done", "failed", "stopped at its limit", "left out"
Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A part by its name; seconds: the most that its process may take."""

    name: str
    seconds: float


class NotHere(Exception):
    """A row cannot be measured on this machine; the message says why."""


def say(line: str) -> None:
    """A line of the log, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# ------------------------------------------------------------------------- in the process of a part

class Figures:
    """The rows of a part, in a JSON file that is whole after each of them.

    until: when (time.time()) the part must have ended
    """

    def __init__(self, path: str, until: float) -> None:
        self._path, self._until, self._longest = path, until, 0.0
        self.rows: list[Row] = []
        self.left_out: list[Row] = []
        self._write()

    def add(self, name: str, measure: Callable[[], Row]) -> None:
        """Notes what `measure` returns, or its error; {"ok": False} is a failure as well.

        The row is left out where less time is left than the longest row has taken so far.
        """
        if self._until - time.time() < self._longest:
            return self._leave_out(name, "no time was left")
        start = time.perf_counter()
        try:
            row = measure()
        except NotHere as reason:
            return self._leave_out(name, str(reason))
        except Exception as error:
            traceback.print_exc()
            row = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        took = time.perf_counter() - start
        self._longest = max(self._longest, took)
        row = {key: _plain(value) for key, value in row.items()}
        self.rows.append({"name": name, **row, "seconds": round(took, 2)})
        self._write()
        say(line(self.rows[-1]))

    def failures(self) -> int:
        """How many rows have failed."""
        return sum(not row.get("ok", True) for row in self.rows)

    def _leave_out(self, name: str, why: str) -> None:
        self.left_out.append({"name": name, "why": why})
        self._write()
        say(f"{name}: left out, {why}")

    def _write(self) -> None:
        write_json(self._path, {"rows": self.rows, "left_out": self.left_out})


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers that are not finite become words."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def line(row: Row) -> str:
    """A row as a line of the log."""
    shown = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
             for key, value in row.items() if key not in ("name", "seconds", "ok")]
    verdict = [] if row.get("ok", True) else ["FAILED"]
    return f"  {row['name']:<40} " + "   ".join([*shown, *verdict])


# -------------------------------------------------------------------------- the program that starts

Command = Callable[[Part, str, float], Sequence[str]]


def run_all(parts: Sequence[Part], seconds: float, path: str, about: Mapping[str, Any],
            command: Command) -> dict[str, Any]:
    """Runs the parts in their order and writes the figures to `path` after each.

    seconds: for all of them; a part whose limit no longer fits is left out.
    about: what the file says of the machine.
    command: the command line of (part, file for its Figures, until when).
    Returns what the file holds: `about`, "seconds", "parts": [{"name", "status", "seconds",
    "limit_s", "rows", "left_out"}, ...].
    """
    start = time.time()
    report = {**about, "limit_s": seconds, "seconds": 0.0, "parts": []}
    for part in parts:
        left = seconds - (time.time() - start)
        if part.seconds > left:
            result = _result(part, LEFT_OUT, 0.0)
            result["why"] = f"it may take {part.seconds:.0f} s, and {left:.0f} s were left"
            say(f"{part.name}: left out, {result['why']}")
        else:
            result = _run(part, command)
        report["parts"].append(result)
        report["seconds"] = round(time.time() - start, 1)
        write_json(path, report)
    return report


def _run(part: Part, command: Command) -> dict[str, Any]:
    """The result of a part: of its process, which is stopped at its limit."""
    say(f"{part.name} (at most {part.seconds:.0f} s)")
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "figures.json")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(command(part, path, start + part.seconds), env=environment,
                                   start_new_session=True)
        try:
            status = FAILED if process.wait(part.seconds) else DONE
        except subprocess.TimeoutExpired:
            status = STOPPED
        finally:
            _end(process)
        result = _result(part, status, time.time() - start)
        with contextlib.suppress(FileNotFoundError), open(path) as file:
            result.update(json.load(file))
    say(f"{part.name}: {status}, {result['seconds']:.0f} s")
    return result


def _end(process: subprocess.Popen) -> None:
    """Ends what is left of a part's process and of those that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _result(part: Part, status: str, took: float) -> dict[str, Any]:
    return {"name": part.name, "status": status, "seconds": round(took, 1),
            "limit_s": part.seconds, "rows": [], "left_out": []}
