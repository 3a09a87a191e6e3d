"""Chooses where non-maximum suppression runs."""
from caffe.core import state
from faster_rcnn.boxes.cpu_nms import cpu_nms
from faster_rcnn.boxes.gpu_nms import gpu_nms
from faster_rcnn.settings.config import cfg


def nms(dets, thresh, force_cpu=False):
    """Rows of dets (N, 5), x1, y1, x2, y2, score, that stay: a list in falling order of score.

    Runs on the GPU when the engine does and cfg.USE_GPU_NMS allows it.
    """
    if len(dets) == 0:
        return []
    device = state.device()
    if cfg.USE_GPU_NMS and device.type == "cuda" and not force_cpu:
        return gpu_nms(dets, thresh, device.index)
    return cpu_nms(dets, thresh)
