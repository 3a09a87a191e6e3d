# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Non-maximum suppression on the CPU."""
import numpy as np


def cpu_nms(dets, double thresh):
    """Rows of dets (N, 5), x1, y1, x2, y2, score, that stay: a list in falling order of score."""
    cdef const float[:, :] boxes = np.asarray(dets, np.float32)
    cdef Py_ssize_t n = boxes.shape[0], count = 0, i, j, row, other
    cdef Py_ssize_t[::1] order = np.argsort(-np.asarray(boxes[:, 4]), kind="stable")
    kept = np.empty(n, np.intp)
    cdef Py_ssize_t[::1] keep = kept
    cdef float[::1] area = np.empty(n, np.float32)
    cdef float width, height, shared, overlap
    cdef bint stays
    with nogil:
        for i in range(n):
            row = order[i]
            area[row] = (boxes[row, 2] - boxes[row, 0] + 1) * (boxes[row, 3] - boxes[row, 1] + 1)
            stays = True
            for j in range(count):
                other = keep[j]
                width = min(boxes[row, 2], boxes[other, 2]) - max(boxes[row, 0], boxes[other, 0]) + 1
                height = min(boxes[row, 3], boxes[other, 3]) - max(boxes[row, 1], boxes[other, 1]) + 1
                shared = max(width, <float>0) * max(height, <float>0)
                overlap = shared / (area[row] + area[other] - shared)
                if overlap >= thresh:
                    stays = False
                    break
            if stays:
                keep[count] = row
                count += 1
    return kept[:count].tolist()
