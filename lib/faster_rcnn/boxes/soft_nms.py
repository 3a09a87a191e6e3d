"""Soft non-maximum suppression (Bodla et al. 2017)."""
import numpy as np
import torch

from caffe.operators import ops


def soft_nms(dets, thresh, method="linear", sigma=0.5, score_thresh=0.001):
    """Lowers the scores of boxes that overlap a better one, instead of dropping them.

    dets: (N, 5), x1, y1, x2, y2, score. "linear": scores are multiplied by 1 - overlap where it is
    thresh or more; "gaussian": by exp(-overlap^2 / sigma). Boxes end below score_thresh.
    Returns the boxes that stay with their lowered scores, (K, 5) float32, best first, and their
    rows in dets, a list.
    """
    dets = torch.from_numpy(np.array(dets, np.float32))
    keep, scores = ops.soft_nms(dets[:, :4], dets[:, 4], None, thresh, method, sigma, score_thresh)
    return torch.cat([dets[keep, :4], scores[:, None]], 1).numpy(), keep.tolist()
