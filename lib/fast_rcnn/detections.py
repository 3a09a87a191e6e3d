"""From the scores and boxes of all rois to the detections of an image."""
import numpy as np
import torch

from caffe import ops


def select_detections(scores, boxes, thresh, nms_thresh, max_per_image):
    """The detections of one image that count.

    scores: (R, K), background first; boxes: (R, 4 K). A box counts when its score is > thresh and
    it survives NMS in its class; max_per_image > 0 keeps that many best ones over all classes, and
    those that equal the last of them.
    Returns a list over classes of (n, 5) float32, best first; the background's is empty.
    """
    rows, classes = np.nonzero(scores[:, 1:] > thresh)
    classes += 1
    boxes = boxes.reshape(*scores.shape, 4)
    found = np.hstack([boxes[rows, classes], scores[rows, classes][:, None]])
    found = found.astype(np.float32, copy=False)
    dets = torch.from_numpy(found)
    keep = ops.batched_nms(dets[:, :4], dets[:, 4], torch.from_numpy(classes), nms_thresh).numpy()
    if 0 < max_per_image < len(keep):
        keep = keep[found[keep, 4] >= found[keep[max_per_image - 1], 4]]
    found, classes = found[keep], classes[keep]
    return [found[classes == k] for k in range(scores.shape[1])]
