"""Proposals of a trained RPN for single images and for whole image databases."""
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from caffe.core.logs import Timer
from faster_rcnn.detection.inputs import NetInput, forward, rois_of_images, stacked_blobs
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.detection.passes import in_passes
from faster_rcnn.images.reading import read_image
from faster_rcnn.runs import processes
from faster_rcnn.runs.progress import ImageProgress


def im_proposals(net: Any, im: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Proposals for an image (h, w, 3), BGR, as cfg.TEST says now.

    Returns boxes (R, 4), in pixels of the image, and scores (R, 1), best first.
    """
    return _proposals(net, [NetInput(im, None, _options())])[0]


def imdb_proposals(net: Any, imdb: Any, shared: bool = False) -> list[np.ndarray] | None:
    """Proposals for all images of a database: a list of boxes (R, 4), in pixels of the images.

    shared: the processes of torchrun share the images; ranks other than 0 get None.
    Shows a bar, or logs `im_proposals: i/N Xs`, the mean time per image. The next images are read
    and scaled while the net computes.
    """
    options = _options()

    def load(index: int) -> NetInput:
        return NetInput(read_image(imdb.image_path_at(index)), None, options)

    def run(given: Sequence[NetInput]) -> list[tuple[np.ndarray, np.ndarray]]:
        return _proposals(net, given)

    timer, found = Timer(), {}
    progress = ImageProgress("im_proposals", imdb.num_images)
    images = processes.share(imdb.num_images) if shared else range(imdb.num_images)
    for i, _, (boxes, _) in in_passes(imdb, images, load, run, options, timer):
        found[i] = [boxes]
        progress.update(images[len(found) - 1] + 1, f"{timer.total_time / len(found):.3f}s")
    progress.close()
    found = {i: found[i] for i in images}
    of_all = processes.gathered_images(found) if shared else found
    return None if of_all is None else [boxes for boxes, in of_all.values()]


def _options() -> TestOptions:
    """The present settings, for a net with an RPN, which an RPN alone is too."""
    return dataclasses.replace(TestOptions.from_cfg(), has_rpn=True)


def _proposals(net: Any, given: Sequence[NetInput]) -> list[tuple[np.ndarray, np.ndarray]]:
    """im_proposals of images of equal shape in one pass."""
    outputs = forward(net, stacked_blobs(given), ("rois", "scores"))
    return [(boxes, outputs["scores"][rows].copy())
            for _, boxes, rows in rois_of_images(outputs["rois"], given)]
