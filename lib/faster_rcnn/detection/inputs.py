"""A test image, and rois where the net makes none, as the input blobs of a net."""
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from caffe.core.errors import InputError
from faster_rcnn.boxes import geometry
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.images.blob import im_list_to_blob, image_pyramid_blob, prep_im_for_blob
from faster_rcnn.prototxts.heads import longer_names
from faster_rcnn.settings.config import ConfigValueError

# with several scales a roi goes to the one where its area is nearest to this (Fast R-CNN)
ROI_AREA = 224 * 224


class NetInput:
    """One image as input of a net.

    im: (h, w, 3), BGR; boxes: (R, 4) rois in its pixels, None for a net that makes its own.

    Attributes: blobs {name: array}; boxes, of the rois fed; inverse, the index of the roi fed for
    each roi given (equal rois are fed once).
    """

    def __init__(self, im: np.ndarray, boxes: np.ndarray | None, options: TestOptions) -> None:
        self.im, self.boxes = im, boxes
        self.inverse: Any = slice(None)
        if options.has_rpn:
            self.blobs = image_and_info_blobs(im, options)
            return
        if boxes is None:
            raise InputError("im_detect needs boxes for a net without RPN; set TEST.HAS_RPN True "
                             "(--cfg experiments/cfgs/...) for a net with one")
        blob, scales = image_blob(im, options)
        rois = rois_blob(boxes, scales)
        if options.dedup_boxes > 0:
            index, self.inverse = unique_rois(rois, options.dedup_boxes)
            rois, self.boxes = rois[index], boxes[index]
        self.blobs = {"data": blob, "rois": rois}


def stacked_blobs(given: Sequence[NetInput]) -> dict[str, np.ndarray]:
    """The blobs of images as one input; of several images they have equal shapes."""
    if len(given) == 1:
        return given[0].blobs
    if any("im_info" not in one.blobs for one in given):
        raise InputError("several images at once need a net that makes its own rois (TEST.HAS_RPN)")
    return {name: np.concatenate([one.blobs[name] for one in given]) for name in given[0].blobs}


def rois_of_images(rois: np.ndarray, given: Sequence[NetInput]
                   ) -> Iterator[tuple[NetInput, np.ndarray, Any]]:
    """(input, its rois in pixels of the image, their rows) of each image of a pass.

    rois: (R, 5), made by the net from all of them
    """
    for index, one in enumerate(given):
        rows = rois[:, 0] == index if len(given) > 1 else slice(None)
        yield one, rois[rows, 1:5] / np.float32(one.blobs["im_info"][0, 2]), rows


def image_blob(im: np.ndarray, options: TestOptions) -> tuple[np.ndarray, np.ndarray]:
    """An image (h, w, 3), BGR, at all scales of the options.

    Returns the blob (levels, 3, H, W) float32 and the scale factors (levels,) float64.
    """
    return image_pyramid_blob(im, options.pixel_means, options.scales, options.max_size,
                              options.multiple_of)


def image_and_info_blobs(im: np.ndarray, options: TestOptions) -> dict[str, np.ndarray]:
    """The inputs of a net with an RPN: {"data": (1, 3, H, W), "im_info": (1, 3)}.

    im_info: height and width of the scaled image without its padding, and its scale.
    """
    if len(options.scales) != 1:
        raise ConfigValueError("TEST.SCALES must hold one scale for a net with an RPN "
                               f"(TEST.HAS_RPN); it holds {list(options.scales)}")
    scaled, scale = prep_im_for_blob(im, options.pixel_means, options.scales[0], options.max_size)
    return {"data": im_list_to_blob([scaled], options.multiple_of),
            "im_info": np.array([[*scaled.shape[:2], scale]], np.float32)}


def rois_blob(im_rois: np.ndarray, im_scale_factors: Sequence[float] | np.ndarray) -> np.ndarray:
    """Rois (R, 4) of an image as network input (R, 5) float32: pyramid level, scaled box."""
    rois, levels = project_rois(im_rois, im_scale_factors)
    return np.hstack([levels, rois]).astype(np.float32)


def project_rois(im_rois: np.ndarray,
                 scales: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rois (R, 4) scaled to the level that suits each, and the levels (R, 1)."""
    im_rois, factors = np.asarray(im_rois, np.float64), np.asarray(scales, np.float64)
    level_areas = geometry.areas(im_rois)[:, None] * factors ** 2
    levels = np.abs(level_areas - ROI_AREA).argmin(1)[:, None]
    return im_rois * factors[levels], levels


def unique_rois(rois: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the unique rois (R, 5) after scaling and rounding, and for each roi the index of
    its equal among them. The unique ones are in the order of py-faster-rcnn's hash (test.py)."""
    hashes = np.round(rois * scale).dot([1, 1e3, 1e6, 1e9, 1e12])
    _, index, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return index, inverse


def forward(net: Any, blobs: dict[str, np.ndarray],
            outputs: Sequence[str]) -> dict[str, np.ndarray]:
    """Reshapes the net's inputs to `blobs`, runs it and returns its outputs by name.

    Where blobs are no inputs of the net but tops of layers without bottoms (DummyData in PVANet's
    nets), these layers are not run. ValueError unless the net has these blobs, and all of
    `outputs`, names of blobs, or blobs of longer names (heads.py).
    """
    has_rpn = "im_info" in blobs
    _require(net, blobs, net.blobs, has_rpn)
    for name, blob in blobs.items():
        net.blobs[name].reshape(*blob.shape)
    if set(blobs) <= set(getattr(net, "inputs", blobs)):
        found = net.forward(**blobs)
    else:
        found = _forward_without_sources(net, blobs)
    present = {*net.blobs, *found}
    _require(net, [name for name in outputs if not longer_names(name, present)], present,
             has_rpn)
    return found


def _forward_without_sources(net: Any, blobs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs the layers of a net but those that would fill `blobs`; its outputs by name."""
    for name, blob in blobs.items():
        net.blobs[name].data[...] = blob
    sources = {layer for layer, tops in net.top_names.items()
               if not net.bottom_names[layer] and set(tops) & set(blobs)}
    for is_source, layers in itertools.groupby(net.top_names, key=sources.__contains__):
        if not is_source:
            names = list(layers)
            net.forward(start=names[0], end=names[-1])
    return {name: net.blobs[name].data for name in net.outputs}


def _require(net: Any, names: Iterable[str], present: Iterable[str], has_rpn: bool) -> None:
    absent = [name for name in names if name not in present]
    if absent:
        raise InputError(f"the net {getattr(net, 'name', '')} has no blob "
                         f"{' and no '.join(absent)}; is it the right net (--def), and "
                         f"TEST.HAS_RPN {has_rpn} right for it (--cfg, --set)?")
