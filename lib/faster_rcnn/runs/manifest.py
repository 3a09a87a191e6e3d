"""The record of a schedule: its steps, what each was made from, what it wrote, its figures.

One JSON file beside the results, rewritten atomically after every change:

    {"steps": {"stage1_rpn": {"inputs": {...}, "finished": true, "output": "file name",
                              "output_hash": "...", "figures": {...}}, ...}}

`inputs` holds a value per input: hashes of weights, prototxts and data sets, the settings by name,
numbers. A step is done when its recorded inputs equal the present ones and its output file is the
one that it wrote. Of several processes (processes.py) all keep the record, and rank 0 writes it.
"""
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from caffe.core.errors import UserError
from faster_rcnn.files.atomic import file_hash, write_json
from faster_rcnn.runs import processes

_HASH = re.compile("[0-9a-f]{64}")
MOST_NAMED = 5      # differences that a message names


class ManifestError(UserError, ValueError):
    """A file that is not the record of a schedule."""


class Manifest:
    """The steps recorded in the file `path`; with `keep` false a new record is begun."""

    def __init__(self, path: str, keep: bool) -> None:
        self.path = path
        self.steps: dict[str, dict] = self._read() if keep and os.path.exists(path) else {}

    def reason_to_run(self, name: str, inputs: Mapping[str, Any]) -> str | None:
        """Why a step must be run; None when it is done."""
        step = self.steps.get(name)
        if step is None:
            return "not started"
        changes = self.changes(name, inputs)
        if changes:
            return "changed: " + _listed(changes)
        if not step["finished"]:
            return "not finished"
        output = self.output(name)
        if not os.path.exists(output):
            return f"{step['output']} is gone"
        if file_hash(output) != step["output_hash"]:
            return f"{step['output']} is not the file that the step wrote"
        return None

    def changes(self, name: str, inputs: Mapping[str, Any]) -> list[str]:
        """What differs between the inputs of a step and those it was started with, in words."""
        recorded = self.steps[name]["inputs"]
        return [words for key in sorted({*inputs, *recorded})
                for words in _differences(key, recorded.get(key), inputs.get(key))]

    def is_started_from(self, name: str, inputs: Mapping[str, Any]) -> bool:
        """Whether a step was started, and from these inputs."""
        return name in self.steps and not self.changes(name, inputs)

    def output(self, name: str) -> str:
        """Path of the file that a finished step wrote."""
        return os.path.join(self._folder, self.steps[name]["output"])

    def begin(self, name: str, inputs: Mapping[str, Any]) -> None:
        """Records that a step is started from `inputs`."""
        processes.barrier()         # the other processes may still be reading the record
        self.steps[name] = {"inputs": dict(inputs), "finished": False}
        self._write()

    def finish(self, name: str, output: str, figures: Mapping[str, Any]) -> None:
        """Records that a step wrote the file `output`."""
        processes.barrier()         # until rank 0 has written it
        inside = os.path.relpath(output, self._folder)
        self.steps[name].update(
            finished=True, output=os.path.abspath(output) if inside.startswith("..") else inside,
            output_hash=file_hash(output), figures=dict(figures))
        self._write()

    @property
    def _folder(self) -> str:
        return os.path.dirname(os.path.abspath(self.path))

    def _read(self) -> dict[str, dict]:
        try:
            with open(self.path, encoding="utf-8") as file:
                steps = json.load(file)["steps"]
            for step in steps.values():
                _check_step(step)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ManifestError(f"{self.path} is not a schedule's record ({error}); remove it to "
                                "start over") from None
        return steps

    def _write(self) -> None:
        if processes.is_first():
            write_json(self.path, {"steps": self.steps})


def _check_step(step: Any) -> None:
    """TypeError or KeyError unless a step of a record has the parts that are read here."""
    if not isinstance(step["inputs"], dict) or not isinstance(step["finished"], bool):
        raise TypeError("a step has no inputs, or does not say whether it is finished")
    if step["finished"] and not (isinstance(step["output"], str)
                                 and isinstance(step["output_hash"], str)
                                 and isinstance(step["figures"], dict)):
        raise TypeError("a finished step has no output")


def _differences(name: str, old: Any, new: Any) -> list[str]:
    """What differs in one input: of settings each by name, of others old and new value, but the
    name alone where these are hashes.
    """
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [f"{key} was {old.get(key)}, is {new.get(key)}" for key in sorted({*old, *new})
                if old.get(key) != new.get(key)]
    if any(isinstance(value, (dict, list)) or _is_hash(value) for value in (old, new)):
        return [name]
    return [f"{name} was {old}, is {new}"]


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and bool(_HASH.fullmatch(value))


def _listed(changes: list[str]) -> str:
    more = len(changes) - MOST_NAMED
    return "; ".join(changes[:MOST_NAMED]) + (f"; {more} more" if more > 0 else "")
