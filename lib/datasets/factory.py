"""Data sets by name. The code is in faster_rcnn.datasets.factory."""
from faster_rcnn.datasets.factory import __sets, get_imdb, list_imdbs, register_imdb  # noqa: F401
