"""Overlaps of boxes on the CPU. The code is in faster_rcnn.boxes.cython_bbox."""
from faster_rcnn.boxes.cython_bbox import bbox_overlaps  # noqa: F401
