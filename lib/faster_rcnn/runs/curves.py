"""Training curves: losses, learning rate and mean AP over the iterations.

<stem>_curves.jsonl holds a JSON object per line, {"iteration": 20, "loss": 1.9, "rate": 0.001,
"loss/rpn_cls_loss": 0.4, ...}; validations are lines {"iteration": 500, "mean_ap": 0.61}.
With TRAIN.TENSORBOARD the same numbers go to TensorBoard events in <stem>_events/.
"""
import json
import os
from typing import Any, TextIO

import numpy as np

from caffe.core.packages import require
from caffe.nets.net import Net
from caffe.solvers.solver import Solver
from faster_rcnn.files.atomic import write_text
from faster_rcnn.runs import processes
from faster_rcnn.settings.config import cfg


def net_losses(net: Net) -> dict[str, float]:
    """The outputs of a training net, most of them losses, by name; without their weights."""
    return {name: float(np.sum(net.blobs[name].data)) for name in net.outputs}


class Curves:
    """Writes the curves of a training to files that start with `stem` (a path).

    first_iteration: where the training starts or continues; points after it are removed.
    """

    def __init__(self, stem: str, first_iteration: int) -> None:
        self._path = f"{stem}_curves.jsonl"
        self._file: TextIO | None = None
        self._events: Any = None         # a SummaryWriter of TensorBoard
        self._stem, self._first = stem, first_iteration

    def add_losses(self, solver: Solver) -> None:
        """Adds a point for the solver's last iteration, every TRAIN.CURVE_ITERS iterations."""
        if not cfg.TRAIN.CURVE_ITERS or solver.iter % cfg.TRAIN.CURVE_ITERS:
            return
        if not processes.is_first():
            return
        losses = {f"loss/{name}": value for name, value in net_losses(solver.net).items()}
        # rates are single precision in solver files: 0.001, not 0.00100000005
        self.add(solver.iter, loss=solver.last_loss, rate=float(f"{solver.lr:.6g}"), **losses)

    def add(self, iteration: int, **values: float) -> None:
        """Adds a point to some curves."""
        file = self._file or self._open()
        point = {name: value if np.isfinite(value) else None for name, value in values.items()}
        file.write(json.dumps({"iteration": iteration, **point}) + "\n")
        file.flush()
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, iteration)
            self._events.flush()

    def _open(self) -> TextIO:
        write_text(self._path, "".join(self._lines_before()))
        self._file = open(self._path, "a", encoding="utf-8")
        if cfg.TRAIN.TENSORBOARD:
            require("tensorboard")
            from torch.utils.tensorboard import SummaryWriter  # slow to import, rarely wanted
            self._events = SummaryWriter(f"{self._stem}_events", purge_step=self._first + 1)
        return self._file

    def _lines_before(self) -> list[str]:
        """The lines of an interrupted training up to the iteration where it continues."""
        if not self._first or not os.path.exists(self._path):
            return []
        with open(self._path, encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("}\n")]
        return [line for line in lines if json.loads(line)["iteration"] <= self._first]

    def close(self) -> None:
        """Closes the files."""
        for opened in (self._file, self._events):
            if opened is not None:
                opened.close()
