"""Non-maximum suppression on the CPU. The code is in faster_rcnn.boxes.cpu_nms."""
from faster_rcnn.boxes.cpu_nms import cpu_nms  # noqa: F401
