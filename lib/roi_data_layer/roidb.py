"""What training adds to a roidb. The code is in faster_rcnn.minibatches.roidb."""
import numpy as np

from faster_rcnn.minibatches.bbox_targets import compute_targets
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets, prepare_roidb  # noqa: F401
from faster_rcnn.settings.config import cfg


def _compute_targets(rois: np.ndarray, overlaps: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The original's name of compute_targets with TRAIN.BBOX_THRESH: (R, 5) class, dx, dy, dw, dh.
    """
    return compute_targets(rois, overlaps, labels, cfg.TRAIN.BBOX_THRESH)
