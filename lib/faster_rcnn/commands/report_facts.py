"""What a report says about the run of a test: net, weights, versions, settings, training."""
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from caffe.core import state
from faster_rcnn.files.atomic import file_hash
from faster_rcnn.reports.html.facts import RunFacts, Step
from faster_rcnn.runs.fingerprint import settings_in_force
from faster_rcnn.runs.history import TrainedStep, steps_behind
from faster_rcnn.settings.config import DEFAULTS, cfg


def facts_of_test(net: Any, prototxt: str, weights: str, seconds: float,
                  num_images: int) -> RunFacts:
    """The facts of a test of a net (its name is the title), read from files `prototxt` and
    `weights`, that took so many seconds.
    """
    steps = steps_behind(weights)
    rows = [("Net", f"{net.name}, {prototxt}"),
            ("Weights", f"{weights} (SHA-256 {file_hash(weights)[:12]}…)"),
            ("Detection", f"{num_images} images in {seconds:.1f} s, with reading and evaluation"),
            ("Device", device()), ("Versions", versions())]
    return RunFacts(net.name, rows, changed_settings(steps), shlex.join(sys.argv),
                    [Step(step.name, step.seconds, step.figures, step.points) for step in steps])


def versions() -> str:
    """Those of this program, Python and the libraries that compute."""
    try:
        own = importlib.metadata.version("py-faster-rcnn")
    except importlib.metadata.PackageNotFoundError:     # a checkout that is not installed
        own = "of a checkout"
    return (f"py-faster-rcnn {own}, Python {platform.python_version()}, PyTorch "
            f"{torch.__version__}, NumPy {np.__version__}, OpenCV {cv2.__version__}")


def device() -> str:
    """The GPU's name, or the processor's kind and number of threads."""
    chosen = state.device()
    if chosen.type == "cuda":
        return torch.cuda.get_device_name(chosen)
    return f"CPU, {platform.machine()}, {torch.get_num_threads()} threads, {os.cpu_count()} cores"


def changed_settings(steps: Sequence[TrainedStep]) -> list[tuple[str, Any, Any]]:
    """(name, value, default) of the settings of the test, and of training steps, that differ.

    A training setting that differs between steps has the values of all of them.
    """
    usual = settings_in_force(DEFAULTS, ("TRAIN", "TEST"))
    in_force = settings_in_force(cfg, ("TEST",))
    rows = [(name, value, usual[name]) for name, value in in_force.items()
            if value != usual.get(name)]
    names = sorted({name for step in steps for name in step.settings if name not in in_force})
    for name in names:
        values = {step.name: step.settings[name] for step in steps if name in step.settings}
        if any(value != usual.get(name) for value in values.values()):
            rows.append((name, _joined(values), usual.get(name)))
    return sorted(rows, key=lambda row: row[0])


def _joined(values: dict[str, Any]) -> Any:
    """The value of all steps, or "step: value, step: value"."""
    found = list(values.values())
    if all(value == found[0] for value in found):
        return found[0]
    return ", ".join(f"{name}: {value}" for name, value in values.items())
