"""Original names of py-faster-rcnn's data sets; the code is in faster_rcnn.datasets."""
from datasets import imdb  # noqa: F401  (Fast R-CNN's data sets derive from datasets.imdb)
from faster_rcnn.settings.config import cfg

ROOT_DIR = cfg.ROOT_DIR     # Fast R-CNN's data sets look for it here
