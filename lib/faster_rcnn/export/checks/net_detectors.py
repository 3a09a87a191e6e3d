"""Nets as functions from a picture to detections: what exported files are compared with."""
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from faster_rcnn.detection.detect import detect
from faster_rcnn.detection.inputs import NetInput
from faster_rcnn.detection.refinement import select_detections
from faster_rcnn.export.checks.runtimes import Detected, flat
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.export.ssd import detections_blob


def net_detector(net: Any, options: ExportOptions) -> Callable[..., Detected]:
    """A function of an image (h, w, 3), BGR, and for a net without RPN of its proposals (R, 4)."""
    if detections_blob(net) is not None:
        return _ssd_detector(net, options)

    def run(im: np.ndarray, proposals: np.ndarray | None = None) -> Detected:
        scores, boxes = detect(net, NetInput(im, proposals, options.test), options.test)
        return flat(select_detections(scores, boxes, options.thresh, options.test.nms,
                                      options.max_per_image, options.test.refinement))
    return run


def _ssd_detector(net: Any, options: ExportOptions) -> Callable[..., Detected]:
    """As net_detector; the picture is stretched to the net's input."""
    blob = detections_blob(net)
    height, width = net.blobs["data"].shape[2:]

    def run(im: np.ndarray) -> Detected:
        scaled = cv2.resize(im.astype(np.float32), (width, height)) - options.test.pixel_means
        net.blobs["data"].data[...] = scaled.transpose(2, 0, 1)
        net.forward()
        rows = net.blobs[blob].data.reshape(-1, 7)
        rows = rows[rows[:, 1] >= 0]
        rows = rows[np.argsort(-rows[:, 2], kind="stable")]
        sides = np.array(im.shape[1::-1] * 2, np.float32)
        return Detected(rows[:, 3:] * sides, rows[:, 2].copy(), rows[:, 1].astype(np.int64))
    return run
