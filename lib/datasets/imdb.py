"""The base of every image data set. The code is in faster_rcnn.datasets.imdb.

Fast R-CNN's data sets take the module itself for the class: `class mine(datasets.imdb)`,
`datasets.imdb.__init__(self, name)`, `datasets.imdb.merge_roidbs(a, b)`.
"""
from typing import Any

from faster_rcnn.datasets.imdb import imdb

__init__ = imdb.__init__


def __mro_entries__(_bases: tuple) -> tuple:
    """Lets `class mine(datasets.imdb)` derive from the class."""
    return (imdb,)


def __getattr__(name: str) -> Any:
    """The class's methods as the module's."""
    return getattr(imdb, name)
