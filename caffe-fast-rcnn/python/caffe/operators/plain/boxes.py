"""Suppression of boxes by plain PyTorch and numpy operations."""
import math

import numpy as np
import torch
from torch import Tensor

from caffe.operators.plain import checks


def nms(boxes: Tensor, scores: Tensor, groups: Tensor | None, thresh: float, inclusive: bool,
        max_keep: int) -> Tensor:
    checks.check_nms("nms", boxes, scores, groups)
    order = scores.sort(descending=True, stable=True)[1]
    rows = boxes[order].cpu().numpy()
    group = np.zeros(len(rows), np.int64) if groups is None else groups[order].cpu().numpy()
    threshold = _threshold(thresh, inclusive)
    limit = len(rows) if max_keep < 0 else max_keep
    keep: list[int] = []
    left = np.ones(len(rows), bool)
    for row in range(len(rows)):
        if len(keep) >= limit:
            break
        if left[row]:
            keep.append(row)
            others = _overlaps(rows[row], rows[row + 1:]) >= threshold
            left[row + 1:] &= ~(others & (group[row + 1:] == group[row]))
    return order[torch.tensor(keep, dtype=torch.int64, device=boxes.device)]


def soft_nms(boxes: Tensor, scores: Tensor, groups: Tensor | None, gaussian: bool, thresh: float,
             sigma: float, score_thresh: float) -> tuple[Tensor, Tensor]:
    checks.check_nms("soft_nms", boxes, scores, groups)
    checks.require(sigma > 0, f"soft_nms: sigma must be > 0, not {sigma:g}")
    rows, left = boxes.cpu().numpy(), scores.cpu().numpy().copy()
    group = np.zeros(len(rows), np.int64) if groups is None else groups.cpu().numpy()
    threshold, least = _threshold(thresh, True), np.float32(score_thresh)
    keep: list[int] = []
    lowered: list[float] = []
    left[~(left >= least)] = -math.inf
    while len(left) and left.max() > -math.inf:
        best = int(left.argmax())
        keep.append(best)
        lowered.append(left[best])
        left[best] = -math.inf
        others = (group == group[best]) & (left > -math.inf)
        iou = _overlaps(rows[best], rows[others])
        left[others] *= np.exp(-(iou * iou) / np.float32(sigma)) if gaussian else \
            np.where(iou >= threshold, 1 - iou, np.float32(1))
        left[~(left >= least)] = -math.inf
    return (torch.tensor(keep, dtype=torch.int64, device=boxes.device),
            torch.tensor(np.array(lowered, np.float32), device=boxes.device))


def _threshold(thresh: float, inclusive: bool) -> np.float32:
    """The float32 number t for which `overlap >= t` says what the original's comparison says."""
    nearest = np.float32(thresh)
    if inclusive and float(nearest) >= thresh:
        return nearest
    return np.nextafter(nearest, np.float32(math.inf))


def _overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of inclusive boxes, in float32: (4,) with (N, 4)."""
    one = np.float32(1)
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.maximum(high - low + one, 0).prod(1)
    area = (box[2] - box[0] + one) * (box[3] - box[1] + one)
    areas = (boxes[:, 2] - boxes[:, 0] + one) * (boxes[:, 3] - boxes[:, 1] + one)
    return common / (area + areas - common)
