"""A generated data set for measurements: images, annotations and proposals of any number."""
import os

import cv2
import numpy as np
import scipy.sparse

from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.synthetic import shapes


class SyntheticImdb(imdb):
    """Images (written to `folder`) with random boxes of random classes, and proposals.

    Args:
        folder: of the JPEG files.
        num_classes: with the background.
        width, height: of the images, pixels.
        num_images, num_boxes, num_proposals: images, annotations and proposals per image.
    """

    def __init__(self, folder: str, num_classes: int, width: int, height: int,
                 num_images: int = 4, num_boxes: int = 8, num_proposals: int = 2000,
                 seed: int = 0) -> None:
        super().__init__("synthetic")
        rng = np.random.RandomState(seed)
        self._folder = folder
        self._classes = ("__background__", *(f"class{i}" for i in range(1, num_classes)))
        self._image_index = [f"{i:06d}" for i in range(num_images)]
        self._boxes, self._labels, self._proposals = [], [], []
        for i in range(num_images):
            picture = shapes.background(rng, width, height) + rng.normal(0, 6, (height, width, 3))
            cv2.imwrite(self.image_path_at(i), np.clip(picture, 0, 255).astype(np.uint8))
            boxes = _random_boxes(rng, num_boxes, width, height)
            near = boxes[rng.randint(num_boxes, size=num_proposals // 2)]
            near = near + rng.normal(0, 0.1, near.shape) * (near[:, 2:] - near[:, :2]).repeat(2, 1)
            near = np.hstack([near[:, :2], np.maximum(near[:, 2:], near[:, :2])])
            near = np.clip(near, 0, (width - 1, height - 1) * 2)
            far = _random_boxes(rng, num_proposals - len(near), width, height)
            self._boxes.append(np.round(boxes).astype(np.uint16))
            self._labels.append(rng.randint(1, num_classes, num_boxes).astype(np.int32))
            self._proposals.append(np.concatenate([near, far]).astype(np.float32))

    def image_path_at(self, i: int) -> str:
        """Path of image i."""
        return os.path.join(self._folder, self._image_index[i] + ".jpg")

    def gt_roidb(self) -> list[dict]:
        """The annotations, in the form that `imdb` describes."""
        roidb = []
        for boxes, labels in zip(self._boxes, self._labels):
            overlaps = np.zeros((len(boxes), self.num_classes), np.float32)
            overlaps[np.arange(len(boxes)), labels] = 1.0
            sides = boxes[:, 2:].astype(np.float32) - boxes[:, :2] + 1
            roidb.append({"boxes": boxes.copy(), "gt_classes": labels,
                          "gt_overlaps": scipy.sparse.csr_matrix(overlaps), "flipped": False,
                          "seg_areas": sides[:, 0] * sides[:, 1]})
        return roidb

    def rpn_roidb(self) -> list[dict]:
        """The annotations and the proposals."""
        gt_roidb = self.gt_roidb()
        proposals = self.create_roidb_from_box_list(self._proposals, gt_roidb)
        return imdb.merge_roidbs(gt_roidb, proposals)


def _random_boxes(rng: np.random.RandomState, count: int, width: int, height: int) -> np.ndarray:
    """(count, 4) float boxes inside the image, sides from a twelfth to a half of it."""
    sides = rng.uniform(1 / 12, 1 / 2, (count, 2)) * (width, height)
    low = rng.uniform(0, 1, (count, 2)) * ((width, height) - sides - 1)
    return np.hstack([low, low + sides])
