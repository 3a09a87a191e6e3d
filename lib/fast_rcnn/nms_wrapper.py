"""Non-maximum suppression: chooses where it runs."""
import numpy as np

from caffe.core import state
from faster_rcnn.boxes.cpu_nms import cpu_nms
from faster_rcnn.boxes.nms import cpu_soft_nms, gpu_nms
from faster_rcnn.settings.config import cfg


def nms(dets: np.ndarray, thresh: float, force_cpu: bool = False) -> list[int]:
    """Rows of dets (N, 5), x1, y1, x2, y2, score, that stay: a list, by descending score.

    Runs on the GPU when the engine does and cfg.USE_GPU_NMS allows it.
    """
    if len(dets) == 0:
        return []
    device = state.device()
    if cfg.USE_GPU_NMS and device.type == "cuda" and not force_cpu:
        return gpu_nms(dets, thresh, device.index)
    return cpu_nms(dets, thresh)


def soft_nms(dets: np.ndarray, sigma: float = 0.5, Nt: float = 0.3,  # noqa: N803  (the forks' names)
             threshold: float = 0.001, method: int = 1) -> list[int]:
    """Soft NMS (Bodla et al. 2017) as its authors call it; see cpu_soft_nms."""
    return cpu_soft_nms(dets, sigma, Nt, threshold, method)
