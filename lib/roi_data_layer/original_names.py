"""Helpers of the original's data layer, which other projects import by their private names.

roi_data_layer.minibatch has them with an underscore before the name, roi_data_layer.layer has
BlobFetcher. They read the present `cfg` where the original does.
"""
import multiprocessing
from typing import Any

import cv2
import numpy as np
import torch

from faster_rcnn.boxes.sampling import sample_rois as draw_rois
from faster_rcnn.images.blob import im_list_to_blob, prep_im_for_blob
from faster_rcnn.minibatches.minibatch import get_minibatch, image_of
from faster_rcnn.minibatches.options import MinibatchOptions, RoiOptions
from faster_rcnn.minibatches.order import ImageOrder
from faster_rcnn.settings.config import cfg
from rpn.original_names import bbox_regression_labels


def sample_rois(roidb: dict[str, Any], fg_rois_per_image: int, rois_per_image: int,
                num_classes: int) -> tuple[np.ndarray, ...]:
    """Samples foreground and background from the boxes of a prepared roidb entry with targets.

    Returns labels (S,), overlaps (S,), rois (S, 4), bbox_targets and bbox_inside_weights
    (S, 4 num_classes), foreground first.
    """
    options = RoiOptions.from_cfg()
    overlaps = np.asarray(roidb["max_overlaps"])
    drawn, num_fg = draw_rois(torch.from_numpy(overlaps), int(rois_per_image),
                              fg_rois_per_image / rois_per_image, options.fg_thresh,
                              options.bg_thresh)
    keep = drawn.numpy()
    labels = roidb["max_classes"][keep]
    labels[num_fg:] = 0
    return (labels, overlaps[keep], roidb["boxes"][keep],
            *bbox_regression_labels(roidb["bbox_targets"][keep], num_classes))


def image_blob(roidb: list[dict[str, Any]],
               scale_inds: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """The images of entries, each at the scale cfg.TRAIN.SCALES[scale_inds[i]], as a blob
    (N, 3, H, W) float32; and the scale factors."""
    options = MinibatchOptions.from_cfg()
    made = [prep_im_for_blob(image_of(entry), options.pixel_means, options.scales[i],
                             options.max_size) for entry, i in zip(roidb, scale_inds)]
    ims, scales = zip(*made)
    return im_list_to_blob(ims, options.multiple_of), list(scales)


def project_im_rois(im_rois: np.ndarray, im_scale_factor: float) -> np.ndarray:
    """Rois in pixels of the scaled image."""
    return im_rois * im_scale_factor


class BlobFetcher(multiprocessing.Process):
    """Puts minibatches of a roidb into a queue, without end, in a process of its own.

    For other projects' data layers; RoIDataLayer reads ahead with threads (TRAIN.LOADER_THREADS).
    It takes `cfg` as it is when it is made: a process that is not forked (the rule from Python 3.14
    on) has the defaults.
    """

    def __init__(self, queue: Any, roidb: list[dict[str, Any]], num_classes: int) -> None:
        super().__init__(daemon=True)
        self._queue, self._roidb, self._num_classes = queue, roidb, num_classes
        self._options, self._seed = MinibatchOptions.from_cfg(), cfg.RNG_SEED

    def run(self) -> None:
        """What the process does."""
        # the threads of the parent's pools do not exist in a forked process
        torch.set_num_threads(1)
        cv2.setNumThreads(0)
        order = ImageOrder(len(self._roidb), self._options.rois.ims_per_batch, self._seed)
        while True:
            inds, seed = order.next()
            self._queue.put(get_minibatch([self._roidb[i] for i in inds], self._num_classes,
                                          np.random.RandomState(seed), self._options))
