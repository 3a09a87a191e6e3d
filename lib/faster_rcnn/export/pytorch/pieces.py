"""Functions that the PyTorch source of a detector holds a copy of; they need nothing but PyTorch,
and `decode`, `clip` and `nms` of caffe/export/source/pieces.py.
"""
import torch

from caffe.export.source.pieces import clip, decode, nms


def resized(image: torch.Tensor, size: tuple[int, int], scale: float) -> torch.Tensor:
    """An image (h, w, C) at another size (height, width), bilinear, as cv2.resize."""
    for axis, length in enumerate(size):
        place = ((torch.arange(length, dtype=torch.float64) + 0.5) / scale - 0.5).clamp(min=0)
        last = image.shape[axis] - 1
        low = place.floor().long().clamp(max=last)
        share = (place - place.floor()).float().reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        lower = image.index_select(axis, low)
        upper = image.index_select(axis, (low + 1).clamp(max=last))
        image = lower * (1 - share) + upper * share
    return image


def prepared(picture: torch.Tensor, means: tuple[float, ...], side: float, cap: float,
             multiple_of: int) -> tuple[torch.Tensor, torch.Tensor]:
    """data (1, 3, H, W) and im_info (1, 3) of a picture (h, w, 3), BGR from 0 to 255.

    side, cap: of the shorter and the longer side, in pixels; H and W are made multiples by zeros.
    """
    sides = picture.shape[:2]
    scale = side / min(sides)
    if round(scale * max(sides)) > cap:
        scale = cap / max(sides)
    height, width = (max(round(n * scale), 1) for n in sides)
    image = resized(picture.float() - torch.tensor(means), (height, width), scale)
    right, below = (-n % multiple_of for n in (width, height))
    data = torch.nn.functional.pad(image.permute(2, 0, 1)[None], (0, right, 0, below))
    return data, torch.tensor([[height, width, scale]])


def detections(boxes: torch.Tensor, scores: torch.Tensor, least: float, overlap: float,
               most: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes (D, 4), scores (D,), labels (D,) from boxes (R, K, 4) and scores (R, K) of the classes;
    class 0 is the background. Best first.

    least: scores are above it; overlap: of the suppression in a class; most: of all classes, 0: all
    """
    found, chosen, labels = [], [], []
    for k in range(1, scores.shape[1]):
        rows = (scores[:, k] > least).nonzero()[:, 0]
        rows = rows[scores[rows, k].argsort(descending=True, stable=True)]
        rows = rows[nms(boxes[rows, k], overlap)]
        found.append(boxes[rows, k])
        chosen.append(scores[rows, k])
        labels.append(torch.full_like(rows, k))
    order = torch.cat(chosen).argsort(descending=True, stable=True)
    order = order[:most] if most > 0 else order
    return torch.cat(found)[order], torch.cat(chosen)[order], torch.cat(labels)[order]


def class_boxes(rois: torch.Tensor, deltas: torch.Tensor, classes: int, largest_log: float,
                size: tuple[int, int]) -> torch.Tensor:
    """Boxes (R, K, 4) of the classes from rois (R, 4) and deltas (R, 4 K), or (R, 8), whose second
    half all classes share; size: height and width of the picture.
    """
    deltas = deltas.reshape(len(rois), -1, 4)
    if deltas.shape[1] != classes:
        deltas = deltas[:, -1:]
    return clip(decode(rois[:, None], deltas, largest_log), *size).expand(-1, classes, -1)
