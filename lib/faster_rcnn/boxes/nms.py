"""Non-maximum suppression of detections (N, 5), x1, y1, x2, y2, score: the engine's operator under
the names that py-faster-rcnn has for it (cpu_nms is in cpu_nms.pyx).

All compute overlaps in float32 and drop a box whose overlap with a better one is >= thresh
(py-faster-rcnn: cpu_nms.pyx).
"""
import numpy as np
import torch

from caffe.operators import ops


def suppress(dets: np.ndarray, thresh: float, device: str | torch.device = "cpu") -> list[int]:
    """The rows of dets (N, 5) that stay, by descending score."""
    boxes = torch.as_tensor(np.array(dets, np.float32)[:, :5], device=device)
    return ops.nms(boxes, float(thresh)).tolist()


def gpu_nms(dets: np.ndarray, thresh: float, device_id: int = 0) -> list[int]:
    """`suppress` on the GPU with the number device_id."""
    return suppress(dets, thresh, torch.device("cuda", device_id))


def py_cpu_nms(dets: np.ndarray, thresh: float) -> list[int]:
    """`suppress` on the CPU; the version to read is tests/reference/slow_ops.py: nms."""
    return suppress(dets, thresh)


def soft_nms(dets: np.ndarray, thresh: float, method: str = "linear", sigma: float = 0.5,
             score_thresh: float = 0.001) -> tuple[np.ndarray, list[int]]:
    """Lowers the scores of boxes that overlap a better one, instead of dropping them
    (Bodla et al. 2017).

    dets: (N, 5). "linear": scores are multiplied by 1 - overlap where it is thresh or more;
    "gaussian": by exp(-overlap^2 / sigma). Boxes whose score falls below score_thresh are dropped.
    Returns the boxes that stay with their lowered scores, (K, 5) float32, best first, and their
    rows in dets, a list.
    """
    boxes = torch.from_numpy(np.array(dets, np.float32))
    keep, scores = ops.soft_nms(boxes[:, :4], boxes[:, 4], None, thresh, method, sigma,
                                score_thresh)
    return torch.cat([boxes[keep, :4], scores[:, None]], 1).numpy(), keep.tolist()


def cpu_soft_nms(boxes: np.ndarray, sigma: float = 0.5, Nt: float = 0.3,  # noqa: N803
                 threshold: float = 0.001, method: int = 0) -> list[int]:
    """Soft NMS as its authors call it: boxes (N, 5) are changed in place.

    method: 1 linear, 2 gaussian, 0 the score of a box that overlaps a better one becomes 0.
    Returns the indices of the first rows, which hold the boxes that stay, best first, with their
    lowered scores: boxes[keep] are the detections.
    """
    if method == 0:
        kept = np.asarray(boxes, np.float32)[suppress(boxes, Nt)]
        kept = kept[kept[:, 4] >= threshold]
    else:
        kept, _ = soft_nms(boxes, Nt, {1: "linear"}.get(method, "gaussian"), sigma, threshold)
    boxes[:len(kept)] = kept
    return list(range(len(kept)))
