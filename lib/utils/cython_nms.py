"""Fast R-CNN's name of non-maximum suppression on the CPU (faster_rcnn.boxes.cpu_nms)."""
from faster_rcnn.boxes.cpu_nms import cpu_nms as nms  # noqa: F401
