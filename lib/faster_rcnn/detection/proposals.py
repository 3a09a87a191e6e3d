"""Proposals of a trained RPN for single images and for whole image databases."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from caffe.core.logs import Timer
from faster_rcnn.detection.inputs import forward, image_and_info_blobs, of_equal_shape, windows
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
    return _proposals(net, [image_and_info_blobs(im, TestOptions.from_cfg())])[0]


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
    for window in windows(zip(images, read_ahead(load, images)), options.ims_per_batch):
        shapes = [blobs["data"].shape for _, blobs in window]
        for part in of_equal_shape(shapes, options.ims_per_batch):
            numbers, inputs = zip(*(window[position] for position in part))
            timer.tic()
            with naming_image(", ".join(map(imdb.image_path_at, numbers))):
                proposals = _proposals(net, inputs)
            timer.toc()
            for i, (boxes, _) in zip(numbers, proposals):
                found[i] = [boxes]
                progress.update(images[len(found) - 1] + 1,
                                f"{timer.total_time / len(found):.3f}s")
    progress.close()
    found = {i: found[i] for i in images}
    of_all = processes.gathered_images(found) if shared else found
    return None if of_all is None else [boxes for boxes, in of_all.values()]


def _proposals(net: Any, given: Sequence[Mapping[str, np.ndarray]]) \
        -> list[tuple[np.ndarray, np.ndarray]]:
    """im_proposals of images of equal shape, given as the inputs of a net, in one pass."""
    blobs = {name: np.concatenate([one[name] for one in given]) for name in given[0]}
    outputs = forward(net, blobs, ("rois", "scores"))
    rois, scores = outputs["rois"], outputs["scores"]
    found = []
    for index, one in enumerate(given):
        rows = rois[:, 0] == index if len(given) > 1 else slice(None)
        boxes = rois[rows, 1:] / np.float32(one["im_info"][0, 2])
        found.append((boxes, scores[rows].copy()))
    return found
