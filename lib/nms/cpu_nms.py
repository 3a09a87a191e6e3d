"""Non-maximum suppression on the CPU, compiled. The code is in faster_rcnn.boxes.cpu_nms."""
from faster_rcnn.boxes.cpu_nms import cpu_nms  # noqa: F401
