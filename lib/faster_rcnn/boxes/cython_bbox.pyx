# cython: language_level=3
"""Overlaps of boxes under their original name."""
import numpy as np

from faster_rcnn.boxes import geometry


def bbox_overlaps(boxes, query_boxes):
    """Intersection over union of boxes (N, 4) and query_boxes (K, 4), inclusive pixels: (N, K) float64."""
    overlaps = geometry.overlaps(np.asarray(boxes, np.float64), np.asarray(query_boxes, np.float64))
    return np.ascontiguousarray(overlaps)
