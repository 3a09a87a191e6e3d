"""The base of every image data set. The code is in faster_rcnn.datasets.imdb."""
from faster_rcnn.datasets.imdb import imdb


def __mro_entries__(_bases: tuple) -> tuple:
    """Lets `class mine(datasets.imdb)` derive from the class, as Fast R-CNN's data sets do."""
    return (imdb,)
