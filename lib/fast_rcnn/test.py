"""Detection with a trained net. The code is in faster_rcnn.detection.

The names that begin with an underscore are the original's, which other programs use; they take the
settings from the present `cfg`. _bbox_pred decodes as im_detect does (widths x2 - x1 + 1).
"""
import numpy as np

from faster_rcnn.boxes.transform import bbox_transform_inv as _bbox_pred  # noqa: F401
from faster_rcnn.boxes.transform import clip_boxes as _clip_boxes  # noqa: F401
from faster_rcnn.boxes.voting import bbox_vote as _bbox_vote
from faster_rcnn.detection.detect import (  # noqa: F401
    apply_nms,
    im_detect,
    test_net,
    vis_detections,
)
from faster_rcnn.detection.inputs import image_blob
from faster_rcnn.detection.inputs import project_rois as _project_im_rois  # noqa: F401
from faster_rcnn.detection.inputs import rois_blob as _get_rois_blob
from faster_rcnn.detection.options import Refinement, TestOptions
from faster_rcnn.settings.config import cfg


def _get_image_blob(im: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An image (h, w, 3), BGR, at the scales of cfg.TEST: the blob and the scale factors."""
    return image_blob(im, TestOptions.from_cfg())


def _get_blobs(im: np.ndarray,
               rois: np.ndarray | None) -> tuple[dict[str, np.ndarray | None], np.ndarray]:
    """The inputs of a net for an image, {"data", "rois"}, and the scale factors of its levels."""
    data, scales = _get_image_blob(im)
    return {"data": data, "rois": None if rois is None else _get_rois_blob(rois, scales)}, scales


def bbox_vote(dets_NMS: np.ndarray, dets_all: np.ndarray,  # noqa: N803  (PVANet's names)
              thresh: float = 0.5) -> np.ndarray:
    """Box voting as cfg.TEST.BBOX_VOTE_* say: (K, 5) for (K, 5) and (N, 5)."""
    vote = Refinement.of(cfg.TEST)
    return _bbox_vote(dets_NMS, dets_all, thresh, vote.bbox_vote_n_weighted_score,
                      vote.bbox_vote_weight_empty)
