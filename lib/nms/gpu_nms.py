"""Non-maximum suppression on a GPU. The code is in faster_rcnn.boxes.gpu_nms."""
from faster_rcnn.boxes.gpu_nms import gpu_nms  # noqa: F401
