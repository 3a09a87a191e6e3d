"""Crops of images like the embedded data set's, drawn when needed, to pretrain a backbone on.

A crop shows one object around its centre, or none. A pool of crops is drawn once; every minibatch
takes crops from it and varies them (part, mirroring, quarter turns, order and inversion of the
colour channels), so that the net never sees the same numbers twice.
"""
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

import caffe
from faster_rcnn.files import safe_yaml
from faster_rcnn.settings.config import cfg
from faster_rcnn.synthetic import shapes

BACKGROUND_SHARE = 0.2
DIAMETER = (26, 84)               # of the object, pixels, drawn log-uniformly
NUM_LABELS = len(shapes.CLASSES) + 1


def render_crop(rng: np.random.RandomState, side: int, label: int) -> np.ndarray:
    """(side, side, 3) uint8 BGR with the object of class `label` around the centre.

    Label 0: no object there; half of these crops have a distractor instead.
    """
    picture = shapes.background(rng, side, side)
    for _ in range(rng.randint(1, 4)):
        shapes.draw_clutter(picture, rng)
    if rng.rand() < 0.4:                            # a neighbour beside or behind the centre
        _paint(picture, rng, shapes.CLASSES[rng.randint(len(shapes.CLASSES))], (0.45, 0.9))
    if label:
        _paint(picture, rng, shapes.CLASSES[label - 1], (0, 0.12))
    elif rng.rand() < 0.5:
        _paint(picture, rng, shapes.DISTRACTORS[rng.randint(len(shapes.DISTRACTORS))], (0, 0.12))
    return shapes.camera(picture, rng)


def _paint(picture: np.ndarray, rng: np.random.RandomState, name: str,
           offset: tuple[float, float]) -> None:
    """Paints a shape whose distance from the centre is within `offset` = (least, most) sides."""
    side = len(picture)
    angle = rng.uniform(0, 2 * np.pi)
    centre = side / 2 + side * rng.uniform(*offset) * np.array([np.cos(angle), np.sin(angle)])
    diameter = np.exp(rng.uniform(*np.log(DIAMETER)))
    shapes.paint(picture, shapes.place(shapes.unit_outline(name, rng), rng, centre, diameter), rng)


def make_pool(seed: int, size: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(crops (size, side, side, 3) uint8, labels (size,) int64)."""
    rng = np.random.RandomState(seed)
    labels = np.where(rng.rand(size) < BACKGROUND_SHARE, 0,
                      rng.randint(1, NUM_LABELS, size)).astype(np.int64)
    return np.stack([render_crop(rng, side, label) for label in labels]), labels


def vary(crop: np.ndarray, rng: np.random.RandomState, side: int) -> np.ndarray:
    """A (side, side, 3) part of a crop: mirrored, turned, its colours exchanged and shifted."""
    y, x = rng.randint(0, crop.shape[0] - side + 1, 2)
    crop = np.rot90(crop[y:y + side, x:x + side], rng.randint(4))
    if rng.rand() < 0.5:
        crop = crop[:, ::-1]
    crop = crop[:, :, rng.permutation(3)].astype(np.float32)
    if rng.rand() < 0.3:
        crop = 255 - crop
    return np.clip(crop * rng.uniform(0.8, 1.2) + rng.uniform(-25, 25, 3), 0, 255)


class ShapeCropLayer(caffe.TensorLayer):
    """Tops: data (B, 3, side, side) minus cfg.PIXEL_MEANS, labels (B,).

    param_str (YAML): batch, side, pool (number of crops drawn at set-up), seed.
    """

    def setup(self, bottom: Sequence[caffe.Blob], top: Sequence[caffe.Blob]) -> None:
        """Draws the pool."""
        self.options: Any = safe_yaml.load(self.param_str)
        cv2.setNumThreads(1)
        margin = self.options["side"] // 8
        self.crops, self.labels = make_pool(self.options["seed"], self.options["pool"],
                                            self.options["side"] + margin)
        self.rng = np.random.RandomState(self.options["seed"] + 1)
        side = self.options["side"]
        top[0].reshape(self.options["batch"], 3, side, side)
        top[1].reshape(self.options["batch"])

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The next minibatch."""
        picks = self.rng.randint(len(self.crops), size=self.options["batch"])
        batch = np.stack([vary(self.crops[i], self.rng, self.options["side"]) for i in picks])
        batch = (batch - cfg.PIXEL_MEANS).astype(np.float32).transpose(0, 3, 1, 2)
        device = caffe.state.device()
        return (torch.from_numpy(np.ascontiguousarray(batch)).to(device),
                torch.from_numpy(self.labels[picks].astype(np.float32)).to(device))
