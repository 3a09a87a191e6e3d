"""COCO as its files are laid out. The code is in faster_rcnn.datasets.coco."""
from faster_rcnn.datasets.coco import coco  # noqa: F401
