"""Helpers for lists of boxes. The code is in faster_rcnn.boxes.rows."""
from faster_rcnn.boxes.rows import (  # noqa: F401
    filter_small_boxes,
    unique_boxes,
    validate_boxes,
    xywh_to_xyxy,
    xyxy_to_xywh,
)
