"""Box voting: a kept detection moves to the mean of the boxes that NMS dropped in its favour.

Gidaris and Komodakis 2015, in the form of PVANet (test.py: bbox_vote).
"""
import numpy as np
import torch

from faster_rcnn.boxes import geometry


def bbox_vote(kept: np.ndarray, dets: np.ndarray, thresh: float = 0.5, n_weighted_score: int = 1,
              weight_empty: float = 0.5) -> np.ndarray:
    """Detections (K, 5) of one class after voting: x1, y1, x2, y2, score; float32.

    kept:   (K, 5), what NMS left of dets (N, 5), one class of one image
    thresh: a box votes for the kept boxes that it overlaps by at least this
    A box becomes the mean of its voters, weighted by their scores. With n_weighted_score = n > 1
    its score becomes the mean of the n best scores of its voters, where each missing voter counts
    as weight_empty times their mean, unless that is more than the score was.
    """
    boxes = torch.from_numpy(np.array(dets, np.float64))
    voted = torch.from_numpy(np.array(kept, np.float64))
    agrees = geometry.overlaps(voted[:, :4], boxes[:, :4]) >= thresh
    votes = agrees * boxes[:, 4]
    total = votes.sum(1, keepdim=True)
    moved = votes @ boxes[:, :4] / total
    scores = voted[:, 4]
    if n_weighted_score > 1:
        agreed = _agreed_scores(agrees, boxes[:, 4], n_weighted_score, weight_empty)
        scores = torch.where(agrees.any(1), torch.minimum(agreed, scores), scores)
    # a box without area overlaps nothing, not even itself
    moved = torch.where(total > 0, moved, voted[:, :4])
    return torch.cat([moved, scores[:, None]], 1).float().numpy()


def _agreed_scores(agrees: torch.Tensor, scores: torch.Tensor, wanted: int,
                   weight_empty: float) -> torch.Tensor:
    """The mean (K,) of the `wanted` best scores (N,) of each row's voters (K, N)."""
    best = torch.where(agrees, scores, -torch.inf).topk(min(wanted, len(scores)), 1).values
    count = best.isfinite().sum(1)
    mean = torch.where(best.isfinite(), best, 0).sum(1) / count
    return mean * (count + (wanted - count) * weight_empty) / wanted
