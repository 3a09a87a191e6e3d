"""From the scores and boxes of all rois to the detections of an image."""
from typing import Any

import numpy as np
import torch

from caffe.core.errors import InputError
from caffe.operators import ops
from faster_rcnn.boxes.voting import bbox_vote
from faster_rcnn.detection.options import PLAIN, Refinement


def select_detections(scores: np.ndarray, boxes: np.ndarray, thresh: float, nms_thresh: float,
                      max_per_image: int, refinement: Refinement = PLAIN) -> list[np.ndarray]:
    """The detections of one image, from the scores and boxes of all rois.

    scores: (R, K), background first; boxes: (R, 4 K). A box counts if its score is > thresh and
    it survives the NMS of its class, as the Refinement says; max_per_image > 0 keeps that number
    of best ones over all classes, and those whose score equals the last of them.
    Returns a list over classes of (n, 5) float32, best first; the background's is empty.
    """
    rows, classes = np.nonzero(scores[:, 1:] > thresh)
    classes += 1
    boxes = boxes.reshape(*scores.shape, 4)
    found = np.hstack([boxes[rows, classes], scores[rows, classes][:, None]])
    found = found.astype(np.float32, copy=False)
    dets, of_class = _suppressed(found, classes, nms_thresh, refinement)
    if refinement.bbox_vote:
        dets, of_class = _voted(dets, of_class, found, classes, refinement)
    if 0 < max_per_image < len(dets):
        good = dets[:, 4] >= dets[max_per_image - 1, 4]
        dets, of_class = dets[good], of_class[good]
    return [dets[of_class == k] for k in range(scores.shape[1])]


def _suppressed(found: np.ndarray, classes: np.ndarray, nms_thresh: float,
                refinement: Refinement) -> tuple[np.ndarray, np.ndarray]:
    """What NMS leaves of found (N, 5), with their classes; best first."""
    dets, groups = torch.from_numpy(found), torch.from_numpy(classes)
    if not refinement.soft_nms:
        keep = ops.batched_nms(dets[:, :4], dets[:, 4], groups, nms_thresh).numpy()
        return found[keep], classes[keep]
    keep, scores = ops.soft_nms(dets[:, :4], dets[:, 4], groups, nms_thresh, refinement.soft_nms,
                                refinement.soft_nms_sigma, refinement.soft_nms_thresh)
    lowered = torch.cat([dets[keep, :4], scores[:, None]], 1).numpy()
    return lowered, classes[keep.numpy()]


def _voted(dets: np.ndarray, of_class: np.ndarray, found: np.ndarray, classes: np.ndarray,
           refinement: Refinement) -> tuple[np.ndarray, np.ndarray]:
    """The same detections (K, 5) after box voting in each class; best first."""
    dets = dets.copy()
    for k in np.unique(of_class):
        dets[of_class == k] = bbox_vote(
            dets[of_class == k], found[classes == k],
            n_weighted_score=refinement.bbox_vote_n_weighted_score,
            weight_empty=refinement.bbox_vote_weight_empty)
    order = np.argsort(-dets[:, 4], kind="stable")
    return dets[order], of_class[order]


def check_detections(all_boxes: Any, imdb: Any, origin: str) -> None:
    """ValueError unless all_boxes[class][image], (N, 5) each or an empty list, fits an imdb."""
    classes, images = imdb.num_classes, imdb.num_images
    if not isinstance(all_boxes, list) or len(all_boxes) != classes:
        found = len(all_boxes) if isinstance(all_boxes, list) else "no list of"
        raise InputError(f"{origin} holds {found} classes, but {imdb.name} has {classes} (with the "
                         "background); is it of another data set (--imdb)?")
    for name, of_class in zip(imdb.classes, all_boxes):
        if len(of_class) != images:
            raise InputError(f"{origin}: class {name} has detections for {len(of_class)} images, "
                             f"but {imdb.name} has {images} (--imdb)")
        shapes = {np.shape(dets) for dets in of_class if len(dets)}
        wrong = [shape for shape in shapes if len(shape) != 2 or shape[1] != 5]
        if wrong:
            raise InputError(f"{origin}: class {name} has detections of shape {wrong[0]}; (N, 5) "
                             "was expected")
