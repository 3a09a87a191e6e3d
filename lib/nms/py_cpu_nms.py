"""Non-maximum suppression in numpy. The code is in faster_rcnn.boxes.py_cpu_nms."""
from faster_rcnn.boxes.py_cpu_nms import py_cpu_nms  # noqa: F401
