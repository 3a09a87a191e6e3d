"""Fast R-CNN's name of non-maximum suppression (faster_rcnn.boxes.nms)."""
from faster_rcnn.boxes.nms import py_cpu_nms as nms  # noqa: F401
