"""Proposals of a trained RPN for single images and for whole image databases."""
from typing import Any

import numpy as np

from caffe.core.logs import Timer
from faster_rcnn.detection.inputs import forward, image_and_info_blobs
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.files.read_ahead import read_ahead
from faster_rcnn.images.naming import naming_image
from faster_rcnn.images.reading import read_image
from faster_rcnn.runs import processes
from faster_rcnn.runs.progress import ImageProgress


def im_proposals(net: Any, im: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Proposals for an image (h, w, 3), BGR, as cfg.TEST says now.

    Returns boxes (R, 4), in pixels of the image, and scores (R, 1), best first.
    """
    return _proposals(net, image_and_info_blobs(im, TestOptions.from_cfg()))


def imdb_proposals(net: Any, imdb: Any, shared: bool = False) -> list[np.ndarray] | None:
    """Proposals for all images of a database: a list of boxes (R, 4), in pixels of the images.

    shared: the processes of torchrun share the images; ranks other than 0 get None.
    Shows a bar, or logs `im_proposals: i/N Xs`, the mean time per image. The next images are read
    and scaled while the net computes.
    """
    options = TestOptions.from_cfg()

    def load(index: int) -> dict[str, np.ndarray]:
        path = imdb.image_path_at(index)
        with naming_image(path):
            return image_and_info_blobs(read_image(path), options)

    timer, found = Timer(), {}
    progress = ImageProgress("im_proposals", imdb.num_images)
    images = processes.share(imdb.num_images) if shared else range(imdb.num_images)
    for i, blobs in zip(images, read_ahead(load, images)):
        timer.tic()
        with naming_image(imdb.image_path_at(i)):
            found[i] = [_proposals(net, blobs)[0]]
        timer.toc()
        progress.update(i + 1, f"{timer.average_time:.3f}s")
    progress.close()
    of_all = processes.gathered_images(found) if shared else found
    return None if of_all is None else [boxes for boxes, in of_all.values()]


def _proposals(net: Any, blobs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    outputs = forward(net, blobs, ("rois", "scores"))
    boxes = outputs["rois"][:, 1:] / np.float32(blobs["im_info"][0, 2])
    return boxes, outputs["scores"].copy()
