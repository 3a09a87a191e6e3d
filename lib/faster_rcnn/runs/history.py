"""What is known of the training that made some weights: its steps, their figures and curves.

The files are the records (manifest.py) and curves (curves.py) beside the weights. What cannot be
read, or belongs to other weights, is left out: this is for people to look at.
"""
import json
import math
import os
import re
from dataclasses import dataclass
from typing import Any

from caffe.core.errors import UserError
from faster_rcnn.files.atomic import file_hash
from faster_rcnn.files.reading import read_bytes
from faster_rcnn.runs.manifest import Manifest

MOST_BYTES = 64 << 20       # of a curve's file
_SNAPSHOT = re.compile(r"_iter_\d+\.caffemodel$")


@dataclass(frozen=True)
class TrainedStep:
    """A step: its name, seconds or None, figures, settings in force, and points of its curves."""

    name: str
    seconds: float | None
    figures: dict[str, Any]
    settings: dict[str, Any]
    points: list[dict]


def steps_behind(weights: str) -> list[TrainedStep]:
    """The steps that led to a weights file, in order; none where no record names it.

    A record names the weights when the hash of a step's output is theirs, or when their file
    begins with the record's prefix, as snapshots and the best weights do.
    """
    folder = os.path.dirname(os.path.abspath(weights))
    records = [name for name in sorted(os.listdir(folder)) if name.endswith(".json")]
    own_hash = file_hash(weights) if records else ""
    for name in records:
        steps = _recorded(os.path.join(folder, name))
        hashes = {step.get("output_hash") for step in steps.values()}
        prefix = name.removesuffix("_train.json") + "_"
        if own_hash in hashes or steps and os.path.basename(weights).startswith(prefix):
            return [_step(folder, name, step, prefix) for name, step in steps.items()]
    return []


def _recorded(path: str) -> dict[str, dict]:
    """The steps of a record; empty for any other file."""
    try:
        return Manifest(path, keep=True).steps
    except (UserError, OSError):
        return {}


def _step(folder: str, name: str, step: dict, prefix: str) -> TrainedStep:
    figures = dict(step.get("figures", {}))
    seconds = figures.pop("seconds", None)
    settings = step["inputs"].get("settings")
    stem, found = _SNAPSHOT.subn("", step.get("output", ""))
    if not step["finished"]:
        stem, found = prefix.removesuffix("_"), 1
    points = read_points(os.path.join(folder, f"{stem}_curves.jsonl")) if found else []
    return TrainedStep(name, seconds if _is_number(seconds) else None, figures,
                       settings if isinstance(settings, dict) else {}, points)


def read_points(path: str) -> list[dict]:
    """The points of a file of curves, in order of iterations; lines that are none are left out."""
    try:
        lines = read_bytes(path, MOST_BYTES).decode("utf-8", "replace").splitlines()
    except (UserError, OSError):
        return []
    points = []
    for line in lines:
        try:
            point = json.loads(line)
        except (ValueError, RecursionError):        # the last line of a killed run
            continue
        if isinstance(point, dict) and _is_number(point.get("iteration")):
            points.append(point)
    return sorted(points, key=lambda point: point["iteration"])


def _is_number(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value))
