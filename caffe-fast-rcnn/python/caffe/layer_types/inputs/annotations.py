"""The objects of an annotated image: read, sampled around, and moved along with the image.

weiliu89/caffe: sampler.cpp, bbox_util.cpp, data_transformer.cpp. Objects are rows (G, 7), float32:
label, number of the instance, x1, y1, x2, y2 in shares of the image's width and height, and whether
the object is difficult. Windows are (4,), in the same shares.
"""
import math
from collections.abc import Sequence

import numpy as np
import torch

from caffe.core.errors import DataError
from caffe.layer_types.common.boxes import overlaps
from caffe.proto.caffe_pb2 import (
    AnnotatedDatum,
    BatchSampler,
    EmitConstraint,
    ResizeParameter,
    SampleConstraint,
    Sampler,
)

BOX = slice(2, 6)
WHOLE = np.array([0, 0, 1, 1], np.float32)


def read_objects(datum: AnnotatedDatum) -> np.ndarray:
    """The objects of a record, (G, 7)."""
    rows = [(group.group_label, one.instance_id, one.bbox.xmin, one.bbox.ymin, one.bbox.xmax,
             one.bbox.ymax, one.bbox.difficult)
            for group in datum.annotation_group for one in group.annotation]
    return np.array(rows, np.float32).reshape(-1, 7)


# ------------------------------------------------------------------------------------- sampling

def check_sampler(sampler: Sampler) -> None:
    """DataError for ranges from which no window can be drawn."""
    if not 0 < sampler.min_scale <= sampler.max_scale <= 1:
        raise DataError("sampler: expected 0 < min_scale <= max_scale <= 1, got "
                        f"{sampler.min_scale:g} and {sampler.max_scale:g}")
    if not 0 < sampler.min_aspect_ratio <= sampler.max_aspect_ratio < math.inf:
        raise DataError("sampler: expected 0 < min_aspect_ratio <= max_aspect_ratio, got "
                        f"{sampler.min_aspect_ratio:g} and {sampler.max_aspect_ratio:g}")


def sample_windows(boxes: np.ndarray, samplers: Sequence[BatchSampler],
                   generator: np.random.Generator) -> list[np.ndarray]:
    """The windows that all batch samplers draw: each up to max_sample in max_trials trials.

    boxes (G, 4): of the objects, on which the samplers' constraints are tested.
    """
    windows = []
    for sampler in samplers:
        if not sampler.use_original_image:
            continue
        found = 0
        for _ in range(sampler.max_trials):
            if sampler.HasField("max_sample") and found >= sampler.max_sample:
                break
            window = _draw_window(sampler.sampler, generator)
            if is_good_window(window, boxes, sampler.sample_constraint):
                found += 1
                windows.append(window)
    return windows


def _draw_window(sampler: Sampler, generator: np.random.Generator) -> np.ndarray:
    scale = generator.uniform(sampler.min_scale, sampler.max_scale)
    ratio = generator.uniform(sampler.min_aspect_ratio, sampler.max_aspect_ratio)
    ratio = min(max(ratio, scale ** 2), 1 / scale ** 2)     # the window stays inside the image
    width, height = min(1, scale * math.sqrt(ratio)), min(1, scale / math.sqrt(ratio))
    left, top = generator.uniform(0, 1 - width), generator.uniform(0, 1 - height)
    return np.array([left, top, left + width, top + height], np.float32)


def is_good_window(window: np.ndarray, boxes: np.ndarray, constraint: SampleConstraint) -> bool:
    """Whether one of the boxes (G, 4) meets the constraint; true where none is given.

    Overlap, the object's share of the window, the window's share of the object: of these three
    kinds of limits the first that is given decides, as in the original.
    """
    for name, measure in _MEASURES.items():
        low, high = f"min_{name}", f"max_{name}"
        given = [field for field in (low, high) if constraint.HasField(field)]
        if given:
            values = measure(window, boxes)
            least = getattr(constraint, low) if low in given else -math.inf
            most = getattr(constraint, high) if high in given else math.inf
            return bool(((values >= least) & (values <= most)).any())
    return True


def _overlap(window: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return overlaps(torch.from_numpy(window)[None], torch.from_numpy(boxes))[0].numpy()


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(-1)


def _shared_areas(window: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    corners = np.concatenate([np.maximum(window[:2], boxes[:, :2]),
                              np.minimum(window[2:], boxes[:, 2:])], 1)
    return _area(corners)


def _window_share(window: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return _shared_areas(window, boxes) / _area(window)


def _box_share(window: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return _shared_areas(window, boxes) / np.maximum(_area(boxes), np.finfo(np.float32).tiny)


_MEASURES = {"jaccard_overlap": _overlap, "sample_coverage": _window_share,
             "object_coverage": _box_share}


# --------------------------------------------------------------------------------------- moving

def seen_through(objects: np.ndarray, window: np.ndarray,
                 constraint: EmitConstraint | None) -> np.ndarray:
    """The objects that a window of the image shows, in shares of the window and clipped to it.

    constraint: further objects are left out: those whose centre is outside, or of which no more
    than emit_overlap is inside.
    """
    boxes = objects[:, BOX]
    kept = (boxes[:, :2] < window[2:]).all(1) & (boxes[:, 2:] > window[:2]).all(1)
    if constraint is not None:
        kept &= _emitted(boxes, window, constraint)
    objects = objects[kept]
    corner, size = np.tile(window[:2], 2), np.tile(window[2:] - window[:2], 2)
    objects[:, BOX] = ((objects[:, BOX] - corner) / size).clip(0, 1)
    return objects[_area(objects[:, BOX]) > 0]


def _emitted(boxes: np.ndarray, window: np.ndarray, constraint: EmitConstraint) -> np.ndarray:
    if constraint.emit_type == EmitConstraint.MIN_OVERLAP:
        return _box_share(window, boxes) > constraint.emit_overlap
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return (centres >= window[:2]).all(1) & (centres <= window[2:]).all(1)


def mirrored(objects: np.ndarray) -> np.ndarray:
    """The objects of the image flipped left-right."""
    flipped = objects.copy()
    flipped[:, 2], flipped[:, 4] = 1 - objects[:, 4], 1 - objects[:, 2]
    return flipped


def resized(objects: np.ndarray, param: ResizeParameter, height: int, width: int) -> np.ndarray:
    """The objects of an image of height x width, clipped to it, in shares of the resized one."""
    objects = objects.copy()
    if param.resize_mode != ResizeParameter.FIT_LARGE_SIZE_AND_PAD:
        objects[:, BOX] = objects[:, BOX].clip(0, 1)
        return objects
    aspect = width / height
    size = np.array([min(param.width, aspect * param.height),
                     min(param.height, param.width / aspect)], np.float32)
    whole = np.array([param.width, param.height], np.float32)
    corners = objects[:, BOX].reshape(-1, 2, 2).clip(0, 1)
    objects[:, BOX] = ((corners * size + (whole - size) / 2) / whole).reshape(-1, 4)
    return objects


def extrapolated(objects: np.ndarray, param: ResizeParameter, height: int, width: int,
                 window: np.ndarray) -> np.ndarray:
    """The objects in shares of height_scale and width_scale, where FIT_SMALL_SIZE gives these."""
    if param.resize_mode != ResizeParameter.FIT_SMALL_SIZE or not param.height_scale \
            or not param.width_scale:
        return objects
    scale = max(param.width / width, param.height / height)
    factors = np.array([scale * width * (window[2] - window[0]) / param.width_scale,
                        scale * height * (window[3] - window[1]) / param.height_scale], np.float32)
    if factors.min() < 1:
        raise DataError("resize_param: expected height_scale and width_scale inside the crop, got "
                        f"{param.height_scale} and {param.width_scale}")
    objects = objects.copy()
    objects[:, BOX] *= np.tile(factors, 2)
    return objects
