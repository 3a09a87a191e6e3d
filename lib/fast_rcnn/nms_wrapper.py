"""Non-maximum suppression. The code is in faster_rcnn.detection.nms_wrapper."""
from faster_rcnn.detection.nms_wrapper import nms  # noqa: F401
