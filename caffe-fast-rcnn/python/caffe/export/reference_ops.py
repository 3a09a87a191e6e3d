"""Operators for onnx's reference evaluator: one is missing there, the other is wrong.

Written after the operators' specification (ONNX: Operators.md), for checks; slow.
"""
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun


class MaxRoiPool(OpRun):
    """The maxima of pooled_shape bins over each roi; empty bins are 0."""

    def _run(self, x: np.ndarray, rois: Any, pooled_shape: Any = None,
             spatial_scale: Any = None) -> tuple[np.ndarray]:
        tops = np.zeros((len(rois), x.shape[1], *pooled_shape), x.dtype)
        for top, roi in zip(tops, rois.tolist()):
            image, *box = roi
            corners = np.asarray(box, np.float32) * np.float32(spatial_scale)
            x1, y1, x2, y2 = (int(np.floor(abs(v) + 0.5) * np.sign(v)) for v in corners)
            features = x[int(image)]
            rows = _bins(y1, y2, pooled_shape[0], features.shape[1])
            columns = _bins(x1, x2, pooled_shape[1], features.shape[2])
            for i, (above, below) in enumerate(rows):
                for j, (left, right) in enumerate(columns):
                    if above < below and left < right:
                        top[:, i, j] = features[:, above:below, left:right].max((1, 2))
        return (tops,)


class LRN(OpRun):
    """Across channels; the evaluator's own runs over as many channels as there are images."""

    def _run(self, x: np.ndarray, alpha: Any = None, beta: Any = None, bias: Any = None,
             size: Any = None) -> tuple[np.ndarray]:
        square, before = x * x, (size - 1) // 2
        sums = [square[:, max(0, c - before):c + size - before].sum(1) for c in range(x.shape[1])]
        return ((x / (bias + alpha / size * np.stack(sums, 1)) ** beta).astype(x.dtype),)


def _bins(first: int, last: int, count: int, size: int) -> list[tuple[int, int]]:
    """(begin, end) of the bins from cell `first` to `last`, cut to [0, size)."""
    length = np.float32(max(last - first + 1, 1)) / np.float32(count)
    edges = [(int(np.floor(k * length)), int(np.ceil((k + 1) * length))) for k in range(count)]
    inside = [[min(max(edge + first, 0), size) for edge in pair] for pair in edges]
    return [(begin, end) for begin, end in inside]
