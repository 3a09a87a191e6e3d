"""A data set of given image files: what a user's subclass of imdb must define, and no more."""
import os
from collections.abc import Sequence

import cv2
import numpy as np

from faster_rcnn.datasets.imdb import imdb


class ListedImages(imdb):
    """Image files with a roidb that is given; detections are evaluated to themselves."""

    def __init__(self, paths: Sequence[str], roidb: list[dict] | None = None,
                 classes: Sequence[str] = ("__background__", "a", "b"), name: str = "listed"):
        imdb.__init__(self, name)
        self._classes, self._image_index = tuple(classes), list(paths)
        self.roidb_handler = lambda: roidb

    def image_path_at(self, i):
        return self._image_index[i]

    def evaluate_detections(self, all_boxes, output_dir=None):
        return all_boxes


def black_images(folder, sizes) -> list[str]:
    """Writes black pictures of the given (width, height); returns their paths."""
    paths = [os.path.join(str(folder), f"{i}.png") for i in range(len(sizes))]
    for path, (width, height) in zip(paths, sizes):
        cv2.imwrite(path, np.zeros((height, width, 3), np.uint8))
    return paths
