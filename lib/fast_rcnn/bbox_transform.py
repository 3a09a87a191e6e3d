"""Box deltas and clipping. The code is in faster_rcnn.boxes.transform."""
from faster_rcnn.boxes.transform import bbox_transform, bbox_transform_inv, clip_boxes  # noqa: F401
