"""Non-maximum suppression on the CPU. The code is in faster_rcnn.boxes."""
from faster_rcnn.boxes.cpu_nms import cpu_nms  # noqa: F401
from faster_rcnn.boxes.nms import cpu_soft_nms  # noqa: F401
