"""PASCAL VOC as its devkit lays it out. The code is in faster_rcnn.datasets.pascal_voc."""
from faster_rcnn.datasets.pascal_voc import pascal_voc  # noqa: F401
