"""ONNX nodes of SSD's prior boxes and detections (Liu et al. 2016)."""
import math

import numpy as np
import torch

from caffe.export.layers import boxes
from caffe.export.layers.graph import FLOAT
from caffe.export.layers.scope import Scope
from caffe.proto import caffe_pb2

CORNER, CENTER_SIZE = caffe_pb2.PriorBoxParameter.CORNER, caffe_pb2.PriorBoxParameter.CENTER_SIZE


def prior_box(scope: Scope, _features: str, _image: str) -> str:
    """The boxes depend on sizes only, so that they are a constant."""
    scope.fixed(f"a {scope.layer.type}")
    inputs = (torch.zeros(tuple(shape)) for shape in scope.bottom_shapes)
    return scope.constant(scope.module(*inputs).numpy(), "priors")


def detection_output(scope: Scope, offsets: str, confidences: str, priors: str) -> str:
    """(1, 1, D, 7) as Caffe has it; of equal scores the first prior counts."""
    module, p = scope.module, scope.module.p
    if p.nms_param.eta < 1:
        raise scope.error("a threshold that falls (nms_param: eta)")
    images = scope.bottom_shapes[0][0]
    decoded = _decoded(scope, offsets, priors, images)                  # (N, L, P, 4)
    scores = scope.reshape(confidences, (images, -1, p.num_classes))
    scores = scope.op("Transpose", scores, perm=(0, 2, 1))
    scores = scope.op("Gather", scores, scope.integers(module.labels), axis=1)
    if not p.share_location:
        decoded = scope.op("Gather", decoded, scope.integers(module.labels), axis=1)
    found = [_of_image(scope, scope.op("Gather", decoded, scope.integers(i), axis=0),
                       scope.op("Gather", scores, scope.integers(i), axis=0), i)
             for i in range(images)]
    rows = found[0] if images == 1 else scope.op("Concat", *found, axis=0)
    return scope.op("Unsqueeze", _or_none(scope, rows, images), scope.integers([0, 1]))


def _decoded(scope: Scope, offsets: str, priors: str, images: int) -> str:
    p = scope.module.p
    count = math.prod(scope.bottom_shapes[2][2:]) // 4
    parts = scope.reshape(priors, (2, count, 1, 4))
    reference, variances = (scope.op("Gather", parts, scope.integers(i), axis=0) for i in (0, 1))
    moves = scope.reshape(offsets, (images, count, -1, 4))
    if not p.variance_encoded_in_target:
        moves = scope.op("Mul", moves, variances)
    if p.code_type == CENTER_SIZE:
        found = boxes.decode(scope, reference, moves, last_pixel=0)
    elif p.code_type == CORNER:
        found = scope.op("Add", reference, moves)
    else:
        width, height = boxes.sizes(scope, reference, last_pixel=0)
        sizes = scope.op("Concat", width, height, width, height, axis=-1)
        found = scope.op("Add", reference, scope.op("Mul", moves, sizes))
    return scope.op("Transpose", found, perm=(0, 2, 1, 3))


def _of_image(scope: Scope, decoded: str, scores: str, image: int) -> str:
    """Rows (D, 7) of an image, by label, best first. decoded: (L, P, 4); scores: (classes, P)."""
    module, p = scope.module, scope.module.p
    labels, priors = len(module.labels), math.prod(scope.bottom_shapes[2][2:]) // 4
    count = priors if module.top_k < 0 else min(module.top_k, priors)
    best, order = scope.op("TopK", scores, scope.integers([count]), outputs=2, axis=1)
    if p.share_location:
        by_class = scope.op("Gather", scope.reshape(decoded, (priors, 4)), order)
    else:
        by_class = scope.op("GatherND", decoded, scope.op("Unsqueeze", order, scope.integers([2])),
                            batch_dims=1)
    kept = boxes.suppress(
        scope, by_class, scope.op("Unsqueeze", best, scope.integers([1])),
        p.nms_param.nms_threshold, inclusive=False, last_pixel=0,
        score_above=None if math.isinf(module.threshold) else module.threshold)
    group, place = boxes.column(scope, kept, 0), boxes.column(scope, kept, 2)
    rows = scope.op("Add", scope.op("Mul", group, scope.integers([count])), place)
    chosen, ranked = boxes.best(scope, scope.op("Gather", scope.reshape(best, (-1,)), rows),
                                max(p.keep_top_k, 0))
    # stable: of one label the better ones stay first
    group = scope.op("Gather", group, ranked)
    _, by_label = boxes.best(scope, scope.op("Neg", scope.cast(group, FLOAT)), 0)
    rows = scope.op("Gather", scope.op("Gather", rows, ranked), by_label)
    label = scope.op("Gather", scope.constant(np.float32(module.labels)),
                     scope.op("Gather", group, by_label))
    columns = [scope.op("Add", scope.op("Mul", label, scope.number(0)), scope.number(image)), label,
               scope.op("Gather", chosen, by_label)]
    corners = scope.op("Gather", scope.reshape(by_class, (labels * count, 4)), rows)
    return scope.op("Concat", *(scope.op("Unsqueeze", column, scope.integers([1]))
                                for column in columns), corners, axis=1)


def _or_none(scope: Scope, rows: str, images: int) -> str:
    """Where nothing is found in any image a row for each, -1 behind its index."""
    nothing = np.full((images, 7), -1, np.float32)
    nothing[:, 0] = np.arange(images)
    empty = scope.op("Equal", scope.size(rows, 0), scope.integers([0]))
    count = scope.op("Mul", scope.cast(empty, 7), scope.integers([images]))     # 7: int64
    return scope.op("Concat", rows, scope.op("Slice", scope.constant(nothing), scope.integers([0]),
                                             count, scope.integers([0])), axis=0)
