"""Non-maximum suppression in numpy: the version to read."""
import numpy as np

from faster_rcnn.boxes import geometry


def py_cpu_nms(dets, thresh):
    """Rows of dets (N, 5), x1, y1, x2, y2, score, that stay: a list in falling order of score."""
    dets = np.asarray(dets, np.float32)
    areas = geometry.areas(dets)
    order = np.argsort(-dets[:, 4], kind="stable")
    keep = []
    while order.size:
        best, rest = order[0], order[1:]
        keep.append(int(best))
        low = np.maximum(dets[best, :2], dets[rest, :2])
        high = np.minimum(dets[best, 2:4], dets[rest, 2:4])
        shared = np.maximum(high - low + 1, 0).prod(1)
        overlaps = shared / (areas[best] + areas[rest] - shared)
        # a float32 overlap against the exact threshold; py-faster-rcnn: cpu_nms.pyx
        order = rest[overlaps < np.float64(thresh)]
    return keep
