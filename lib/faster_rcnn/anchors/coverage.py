"""How well anchors cover the objects of a data set, and which ones would cover them better."""
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffe.core.errors import InputError
from caffe.core.packages import require
from faster_rcnn.anchors.grid import BASE_SIZE, AnchorGrid
from faster_rcnn.boxes.cython_bbox import bbox_overlaps
from faster_rcnn.boxes.geometry import sizes
from faster_rcnn.images.blob import im_scale_factor
from faster_rcnn.images.reading import image_size


@dataclass(frozen=True)
class ScaledObjects:
    """The objects of an image as the net sees it.

    size: (width, height) of the scaled image; boxes (G, 4) in its pixels; classes (G,);
    areas (G,) in pixels of the original image.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    classes: np.ndarray
    areas: np.ndarray


def scaled_objects(imdb: Any, scales: Sequence[float], max_size: float,
                   num_images: int | None = None) -> list[ScaledObjects]:
    """The ScaledObjects of the images that have any, at each scale; crowds do not count.

    num_images: at most this number of images, spread over the data set; None: all.
    """
    roidb = imdb.gt_roidb()
    count = min(len(roidb), num_images or len(roidb))
    found = []
    for i in np.linspace(0, len(roidb) - 1, count).astype(int).tolist():
        entry = roidb[i]
        counted = entry["gt_overlaps"].toarray().max(axis=1, initial=0) > 0
        if not counted.any():
            continue
        width, height = image_size(imdb.image_path_at(i))
        for side in scales:
            scale = im_scale_factor((height, width), side, max_size)
            found.append(ScaledObjects(
                (round(width * scale), round(height * scale)),
                entry["boxes"][counted].astype(np.float64) * scale, entry["gt_classes"][counted],
                entry["seg_areas"][counted]))
    return found


def best_overlaps(objects: list[ScaledObjects], grid: AnchorGrid) -> np.ndarray:
    """The overlap of every object with its best anchor, (N,), for a list of ScaledObjects.

    The anchors are those that training uses: wholly inside the image, or all where none is.
    """
    found = []
    for image in objects:
        width, height = image.size
        stride = grid.feat_stride
        anchors = grid(math.ceil(height / stride), math.ceil(width / stride), "cpu").numpy()
        inside = ((anchors[:, :2] >= 0).all(axis=1) & (anchors[:, 2] < width)
                  & (anchors[:, 3] < height))
        anchors = anchors[inside] if inside.any() else anchors
        found.append(bbox_overlaps(anchors, image.boxes).max(axis=0))
    return np.concatenate(found)


def propose_anchors(objects: list[ScaledObjects], num_scales: int, num_ratios: int,
                    base_size: float = BASE_SIZE) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scales and ratios that suit the objects, in ascending order: centres of clusters (k-means) of
    the logarithms of their sizes, and of their heights over widths.

    There are fewer when the objects have fewer different sizes or ratios.
    ValueError without objects.
    """
    if not objects:
        raise InputError("there are no objects to propose anchors for")
    widths, heights = sizes(np.concatenate([image.boxes for image in objects]))
    scales = np.exp(_centres(np.log(np.sqrt(widths * heights) / base_size), num_scales))
    ratios = np.exp(_centres(np.log(heights / widths), num_ratios))
    return _rounded(scales), _rounded(ratios)


def _centres(values: np.ndarray, count: int) -> np.ndarray:
    require("sklearn")
    from sklearn.cluster import KMeans  # needed here alone

    count = min(count, len(np.unique(values)))
    means = KMeans(count, n_init=10, random_state=0).fit(values[:, None])
    return np.sort(means.cluster_centers_[:, 0])


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(sorted({float(f"{value:.2g}") for value in values}))
