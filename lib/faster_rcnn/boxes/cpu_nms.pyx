# cython: language_level=3
"""Non-maximum suppression on the CPU under its original name."""
from faster_rcnn.boxes.nms import suppress


def cpu_nms(dets, thresh):
    """Rows of dets (N, 5), x1, y1, x2, y2, score, that overlap no better one by >= thresh: a list,
    by descending score."""
    return suppress(dets, thresh)
