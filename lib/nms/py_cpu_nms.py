"""Non-maximum suppression on the CPU. The code is in faster_rcnn.boxes.nms."""
from faster_rcnn.boxes.nms import py_cpu_nms  # noqa: F401
