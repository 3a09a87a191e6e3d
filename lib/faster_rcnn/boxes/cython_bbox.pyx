# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Overlaps of boxes on the CPU, in double precision."""
import numpy as np


def bbox_overlaps(boxes, query_boxes):
    """Intersection over union of boxes (N, 4) and query_boxes (K, 4), inclusive pixels: (N, K) float64."""
    cdef const double[:, :] a = np.asarray(boxes, np.float64)
    cdef const double[:, :] b = np.asarray(query_boxes, np.float64)
    cdef Py_ssize_t n = a.shape[0], k = b.shape[0], i, j
    result = np.zeros((n, k))
    cdef double[:, ::1] overlaps = result
    cdef double width, height, area, shared
    with nogil:
        for j in range(k):
            area = (b[j, 2] - b[j, 0] + 1) * (b[j, 3] - b[j, 1] + 1)
            for i in range(n):
                width = min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0]) + 1
                if width <= 0:
                    continue
                height = min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1]) + 1
                if height <= 0:
                    continue
                shared = width * height
                overlaps[i, j] = shared / (
                    (a[i, 2] - a[i, 0] + 1) * (a[i, 3] - a[i, 1] + 1) + area - shared)
    return result
