"""Non-maximum suppression on a GPU. The code is in faster_rcnn.boxes.nms."""
from faster_rcnn.boxes.nms import gpu_nms  # noqa: F401
