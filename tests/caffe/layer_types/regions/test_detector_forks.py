"""Layers of YOLO, Cascade R-CNN, MNC, NVIDIA's and Intel's forks against the originals' loops."""
import math

import numpy as np
import pytest
import torch
from layer_harness import build, gradient, run

from caffe.core.errors import LayerError
from caffe.files import prototxt
from caffe.proto import caffe_pb2

TRAIN, TEST = caffe_pb2.TRAIN, caffe_pb2.TEST


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


# -- YOLO


def slow_reorg(x, stride, reverse):
    """reorg_layer.hpp, reorg_cpu: values move between two flat indices."""
    n, c, h, w = x.shape
    small = c // stride ** 2
    flat, out = x.ravel(), np.zeros(x.size)
    for b, k, j, i in np.ndindex(n, c, h, w):
        one = i + w * (j + h * (k + c * b))
        offset = k // small
        other = (i * stride + offset % stride + w * stride * (
            j * stride + offset // stride + h * stride * (k % small + small * b)))
        if reverse:
            out[other] = flat[one]
        else:
            out[one] = flat[other]
    shape = (n, small, h * stride, w * stride) if reverse else \
        (n, c * stride ** 2, h // stride, w // stride)
    return out.reshape(shape)


@pytest.mark.parametrize("shape, stride, reverse", [
    ((2, 4, 4, 6), 2, False), ((1, 8, 2, 3), 2, True), ((1, 9, 6, 3), 3, False)])
def test_reorg_equals_the_originals_loops(shape, stride, reverse):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    text = f'type: "Reorg" reorg_param {{ stride: {stride} reverse: {str(reverse).lower()} }}'
    np.testing.assert_array_equal(run(text, x), slow_reorg(x, stride, reverse))


def test_bottoms_that_cannot_be_reorganised():
    module = build('type: "Reorg" reorg_param { stride: 2 }', (1, 4, 4, 5))
    with pytest.raises(LayerError, match="C a multiple of 4, H and W of 2, got .1, 4, 4, 5."):
        module.top_shapes([(1, 4, 4, 5)])


def iou(a, b):
    """Of boxes x1, y1, x2, y2 without last pixels."""
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in range(2))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def suppressed(found, threshold):
    """yolo: ApplyNms; rows (label, confidence, box), of any class."""
    found = sorted(found, key=lambda row: -row[1])
    kept = []
    for row in found:
        if all(iou(row[2:], other[2:]) < threshold for other in kept):
            kept.append(row)
    return kept


def slow_yolo(x, biases, classes, threshold, nms):
    """yolo_detection_output_layer.cpp of one image x (A * (5 + classes), H, W)."""
    boxes, _, height, width = x.reshape(len(biases), 5 + classes, *x.shape[1:]).shape
    x, found = x.reshape(boxes, 5 + classes, height, width), []
    for n, j, i in np.ndindex(boxes, height, width):
        tx, ty, tw, th, objectness, *scores = x[n, :, j, i]
        cx, cy = (i + sigmoid(tx)) / width, (j + sigmoid(ty)) / height
        w, h = math.exp(tw) * biases[n][0] / width, math.exp(th) * biases[n][1] / height
        probabilities = np.exp(scores) / np.exp(scores).sum()
        best = int(probabilities.argmax())
        confidence = sigmoid(objectness) * probabilities[best]
        if confidence >= threshold:
            found.append((best + 1, confidence, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return suppressed(found, nms)


def test_yolo_2_equals_the_originals_loops(rng):
    x = rng.normal(size=(2, 2 * 8, 3, 4)).astype(np.float32)
    top = run('type: "YoloDetectionOutput" yolo_detection_output_param { num_classes: 3 num_box: 2 '
              "biases: 1 biases: 1.5 biases: 2 biases: 0.5 confidence_threshold: 0.2 "
              "nms_threshold: 0.3 }", x)
    wanted = [(image, *row) for image in range(2)
              for row in slow_yolo(x[image], [(1, 1.5), (2, 0.5)], 3, 0.2, 0.3)]
    assert 6 < len(wanted) < 48
    np.testing.assert_allclose(top[0, 0], wanted, rtol=1e-4, atol=1e-5)


def slow_yolo3(bottoms, biases, masks, scales, classes, threshold, nms):
    """yolov3_detection_output_layer.cpp of one image."""
    found = []
    for x, mask, scale in zip(bottoms, masks, scales):
        x = x.reshape(len(mask), 5 + classes, *x.shape[1:])
        height, width = x.shape[2:]
        for n, j, i in np.ndindex(len(mask), height, width):
            tx, ty, tw, th, objectness, *scores = x[n, :, j, i]
            cx, cy = (i + sigmoid(tx)) / width, (j + sigmoid(ty)) / height
            w = math.exp(tw) * biases[mask[n]][0] / (width * scale)
            h = math.exp(th) * biases[mask[n]][1] / (height * scale)
            for label, score in enumerate(scores):
                confidence = sigmoid(score) * sigmoid(objectness)
                if confidence > threshold:
                    found.append((label + 1, confidence, cx - w / 2, cy - h / 2, cx + w / 2,
                                  cy + h / 2))
    return suppressed(found, nms)


YOLO3 = ('type: "Yolov3DetectionOutput" yolov3_detection_output_param { num_classes: 2 num_box: 2 '
         "biases: 10 biases: 13 biases: 16 biases: 30 biases: 33 biases: 23 biases: 60 biases: 50 "
         "mask_group_num: 2 anchors_scale: 32 anchors_scale: 16 mask: 2 mask: 3 mask: 0 mask: 1 "
         "confidence_threshold: %s nms_threshold: 0.45 }")


def test_yolo_3_equals_the_originals_loops(rng):
    bottoms = [rng.normal(size=(1, 2 * 7, *size)).astype(np.float32) for size in ((2, 3), (4, 6))]
    top = run(YOLO3 % 0.5, *bottoms)
    wanted = slow_yolo3([x[0] for x in bottoms], [(10, 13), (16, 30), (33, 23), (60, 50)],
                        [(2, 3), (0, 1)], [32, 16], 2, 0.5, 0.45)
    assert 5 < len(wanted)
    np.testing.assert_allclose(top[0, 0, :, 1:], wanted, rtol=1e-4, atol=1e-5)


def test_yolo_without_detections():
    bottoms = np.zeros((2, 14, 1, 1)), np.zeros((2, 14, 1, 1))
    assert run(YOLO3 % 0.99, *bottoms).tolist() == [[[[i] + [-1] * 6 for i in range(2)]]]


@pytest.mark.parametrize("text, shapes, problem", [
    (YOLO3 % 0.5, [(1, 14, 2, 2)], "for each of the 1 bottoms an anchors_scale"),
    (YOLO3 % 0.5, [(1, 15, 2, 2), (1, 14, 2, 2)], "shape .N, 14, H, W., got .1, 15"),
    (YOLO3.replace("mask: 3", "mask: 4") % 0.5, [(1, 14, 2, 2)] * 2, "mask numbers below 4"),
    ('type: "YoloDetectionOutput" yolo_detection_output_param { biases: 1 }', [(1, 125, 2, 2)],
     "got 1 numbers"),
    ('type: "YoloDetectionOutput" yolo_detection_output_param { biases: 1 biases: 1 }',
     [(1, 125, 2, 2)], "biases for 5 boxes, got 4 and 1")])
def test_what_yolo_refuses(text, shapes, problem):
    with pytest.raises(LayerError, match=problem):
        build(text, *shapes).top_shapes(shapes)


# -- Cascade R-CNN

GROUPS = """box_group_output_param { fg_thr: 0.2 iou_thr: 0.5 field_whr: 2 field_xyr: 2 min_size: 4
  max_nms_num: 40 max_post_nms_num: 6
  box_group_param { stride: 8 field_h: 16 field_w: 12 field_h: 10 field_w: 24 }
  box_group_param { stride: 16 field_h: 32 field_w: 30 } }
  bbox_reg_param { bbox_mean: 0.1 bbox_mean: 0 bbox_mean: 0 bbox_mean: -0.1
                   bbox_std: 0.2 bbox_std: 0.2 bbox_std: 0.4 bbox_std: 0.4 }"""
MEAN, STD = (0.1, 0, 0, -0.1), (0.2, 0.2, 0.4, 0.4)


def pixel_iou(a, b):
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1) for i in range(2))
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def slow_groups(bottoms, images):
    """box_group_output_layer.cpp and DecodeGroupBBoxes."""
    rows = []
    for image in range(images):
        boxes = []
        for (prob, deltas), stride, fields in zip(bottoms, (8, 16),
                                                  ([(12, 16), (24, 10)], [(30, 32)])):
            for k, (fw, fh) in enumerate(fields):
                item = image * len(fields) + k
                for h, w in np.ndindex(prob.shape[2:]):
                    score = 1 - prob[item, 0, h, w]
                    d = [deltas[item, i, h, w] * STD[i] + MEAN[i] for i in range(4)]
                    d = [*np.clip(d[:2], -0.5, 0.5), *np.clip(d[2:], -math.log(2), math.log(2))]
                    bw, bh = fw * math.exp(d[2]), fh * math.exp(d[3])
                    x = d[0] * fw + (w + 0.5) * stride - bw / 2
                    y = d[1] * fh + (h + 0.5) * stride - bh / 2
                    box = (max(0, x), max(0, y), min(prob.shape[3] * stride, x + bw - 1),
                           min(prob.shape[2] * stride, y + bh - 1))
                    if score >= 0.2 and min(box[2] - box[0], box[3] - box[1]) + 1 >= 4:
                        boxes.append((score, box))
        boxes = sorted(boxes, key=lambda pair: -pair[0])[:40]
        kept = []
        for score, box in boxes:
            if all(pixel_iou(box, other) <= 0.5 for _, other in kept):
                kept.append((score, box))
        rows += [(image, *box, score) for score, box in kept[:6]]
    return rows


def test_grouped_boxes_equal_the_originals_loops(rng):
    def scores(items, *size):
        logits = np.exp(rng.normal(size=(items, 3, *size)))
        return logits / logits.sum(1, keepdims=True)
    bottoms = [(scores(4, 6, 8), rng.normal(size=(4, 4, 6, 8))),
               (scores(2, 3, 4), rng.normal(size=(2, 4, 3, 4)))]
    rois, scored = run(f'type: "BoxGroupOutput" {GROUPS}', *bottoms[0], *bottoms[1], tops=2)
    wanted = slow_groups(bottoms, 2)
    assert len(wanted) > 8
    np.testing.assert_allclose(scored.reshape(-1, 6), wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(rois, scored[:, :5])


def test_without_boxes_there_is_one_roi():
    bottoms = [np.ones((2, 3, 2, 2)), np.zeros((2, 4, 2, 2)), np.ones((1, 3, 1, 1)),
               np.zeros((1, 4, 1, 1))]
    rois, scored = run(f'type: "BoxGroupOutput" {GROUPS}', *bottoms, tops=2)
    assert rois.ravel().tolist() == [0, 1, 1, 10, 10] and scored.ravel().tolist() == [0] * 6


DECODE = 'type: "DecodeBBox" bbox_reg_param { bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 bbox_mean: ' \
         "0 bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2 }"


def test_boxes_of_the_next_stage():
    rois = np.float32([[0, 10, 20, 29, 39], [1, 0, 0, 9, 19]])
    deltas = np.zeros((2, 8, 1, 1), np.float32)
    deltas[0, 4:, 0, 0] = [1, -2, 5 * math.log(2), 0]
    top = run(DECODE, deltas, rois, phase=TEST)
    # 20 x 20 about (19.5, 29.5) goes 2 right and 4 up and becomes 40 wide
    np.testing.assert_allclose(top, [[0, 2, 16, 41, 35], [1, 0, 0, 9, 19]], rtol=1e-5, atol=1e-4)


def test_in_training_boxes_without_area_and_too_good_ones_go():
    rois = np.float32([[0, 10, 20, 29, 39]] * 3)
    deltas = np.zeros((3, 8), np.float32)
    deltas[0, 6] = -5 * math.log(40)        # half a pixel
    overlaps = np.float32([[9, 0.5], [9, 0.95], [9, 0.5]])
    assert len(run(DECODE, deltas, rois)) == 2
    assert run(DECODE, deltas, rois, overlaps).tolist() == [[0, 10, 20, 29, 39]]
    with pytest.raises(LayerError, match="a roi that is left for the next stage"):
        run(DECODE, deltas[:1], rois[:1])


@pytest.mark.parametrize("text, chosen", [
    ("low_scale: 20", [1, 2]), ("high_scale: 20", [0]), ("low_scale: 15 high_scale: 25", [1]),
    ("", [0, 1, 2]),
    ("low_scale: 11 high_scale: 16", [0])])     # none; sqrt(11 * 16) is nearest to 10
def test_rois_of_a_scale(text, chosen):
    rois = np.float32([[0, 0, 0, 9, 9], [1, 5, 5, 24, 24], [0, 1, 1, 80, 20]])     # 10, 20, 40
    items = np.arange(6).reshape(3, 2)
    top, followed = run(f'type: "ScaleRoute" scale_route_param {{ {text} }}', rois, items, tops=2)
    np.testing.assert_array_equal(top, rois[chosen])
    np.testing.assert_array_equal(followed, items[chosen])


def test_rois_with_their_surroundings(rng):
    x, rois = rng.normal(size=(1, 2, 12, 12)), [[0, 4, 4, 7, 7]]
    text = 'type: "ROIPooling" roi_pooling_param { pooled_h: 2 pooled_w: 2 %s }'
    np.testing.assert_array_equal(run(text % "pad_ratio: 0.5", x, rois),
                                  run(text % "", x, [[0, 2, 2, 9, 9]]))


CASCADE = """layer { name: "d" type: "Input" top: "x" top: "rois" top: "p" top: "q" }
layer { name: "o" type: "BoxGroupOutput" bottom: "p" bottom: "q" top: "b" }
layer { name: "a" type: "ROIAlign" bottom: "x" bottom: "rois" top: "y"
        roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.25 pad_ratio: 0.5 } }"""


def test_roi_align_of_cascade_r_cnn_is_known_by_its_net():
    own = prototxt.read_net_text(CASCADE).layer[2].roi_align_param
    assert (own.corners, own.pooled_h, own.spatial_scale, own.pad_ratio) == (True, 7, 0.25, 0.5)
    other = prototxt.read_net_text(CASCADE.replace("BoxGroupOutput", "Concat")).layer[2]
    assert not other.HasField("roi_align_param")


def slow_bilinear(plane, y, x):
    """cascade-rcnn, caffe-mnc: zero more than half a cell outside, else clipped to the map."""
    height, width = plane.shape
    if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
        return 0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    return ((1 - v) * (1 - u) * plane[top, left] + (1 - v) * u * plane[top, right]
            + v * (1 - u) * plane[low, left] + v * u * plane[low, right])


CORNER_ROIS = np.float32([[0, 1, 2, 9, 11], [1, -3, 0, 30, 7], [1, 6, 6, 5, 5]])


def test_corners_of_cascade_r_cnn(rng):
    x = rng.normal(size=(2, 2, 6, 5)).astype(np.float32)
    top = run('type: "ROIAlign" roi_align_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 '
              "corners: true pad_ratio: 0.1 }", x, CORNER_ROIS)
    assert top.shape == (3, 2, 3, 4)
    for r, (image, x1, y1, x2, y2) in enumerate(CORNER_ROIS):
        pad = (x2 - x1 + 1) * 0.1, (y2 - y1 + 1) * 0.1
        left, upper = (x1 - pad[0]) / 2 - 0.5, (y1 - pad[1]) / 2 - 0.5
        width, height = (x2 + pad[0]) / 2 - 0.5 - left, (y2 + pad[1]) / 2 - 0.5 - upper
        for c, i, j in np.ndindex(2, 3, 4):
            wanted = 0 if min(width, height) <= 0 else slow_bilinear(
                x[int(image), c], upper + i * height / 2, left + j * width / 3)
            assert top[r, c, i, j] == pytest.approx(wanted, abs=1e-5)


# -- MNC


def test_warped_rois_equal_the_originals_loops(rng):
    x = rng.normal(size=(2, 2, 6, 5)).astype(np.float32)
    top = run('type: "ROIWarping" roi_warping_param { pooled_h: 3 pooled_w: 4 spatial_scale: 0.5 }',
              x, CORNER_ROIS)
    for r, (image, *box) in enumerate(CORNER_ROIS):
        x1, y1, x2, y2 = (math.copysign(math.floor(abs(n / 2) + 0.5), n) for n in box)
        for c, i, j in np.ndindex(2, 3, 4):
            wanted = slow_bilinear(x[int(image), c], y1 + i * max(y2 - y1, 0) / 3,
                                   x1 + j * max(x2 - x1, 0) / 4)
            assert top[r, c, i, j] == pytest.approx(wanted, abs=1e-5)


def test_masks(rng):
    x = rng.normal(size=(1, 2, 4, 6)).astype(np.float32)
    top = run('type: "MaskResize" mask_resize_param { output_height: 3 output_width: 8 }', x)
    for c, i, j in np.ndindex(2, 3, 8):
        assert top[0, c, i, j] == pytest.approx(slow_bilinear(x[0, c], i * 4 / 3, j * 6 / 8),
                                                abs=1e-6)
    mask = rng.normal(size=(1, 1, 4, 6)).astype(np.float32)
    np.testing.assert_array_equal(run('type: "MaskPooling"', x, mask), x * mask)
    with pytest.raises(LayerError, match=r"\(R, C, H, W\) and \(R, 1, H, W\)"):
        build('type: "MaskPooling"', (1, 2, 4, 6), (1, 2, 4, 6)).top_shapes([(1, 2, 4, 6)] * 2)


# -- Intel's and NVIDIA's forks


def test_clustered_prior_boxes():
    """prior_box_clustered_layer.cpp: each width and height about each centre."""
    priors, variances = run('type: "PriorBoxClustered" prior_box_param { width: 4 height: 6 '
                            "width: 10 height: 2.5 variance: 0.1 variance: 0.2 variance: 0.3 "
                            "variance: 0.4 }", np.zeros((1, 2, 1, 2)), np.zeros((1, 3, 20, 40)))[0]
    np.testing.assert_allclose(priors.reshape(4, 4) * [40, 20, 40, 20], [
        (8, 7, 12, 13), (5, 8.75, 15, 11.25), (28, 7, 32, 13), (25, 8.75, 35, 11.25)], rtol=1e-5)
    np.testing.assert_allclose(variances.reshape(4, 4), [[0.1, 0.2, 0.3, 0.4]] * 4, rtol=1e-6)
    with pytest.raises(LayerError, match="as many heights"):
        build('type: "PriorBoxClustered" prior_box_param { width: 4 }', (1, 2, 1, 2), (1, 3, 2, 2))


NVIDIA = 'type: "BatchNorm" batch_norm_param { eps: 4 %s }'
BATCH = [[[1.0, 3.0]], [[-1.0, 5.0]]]       # mean 2, variance 5


@pytest.mark.parametrize("text", ["scale_bias: true", "scale_filler { value: 1 }",
                                  "bias_filler { }"])
def test_a_batch_norm_that_learns_scale_and_bias(text):
    module = build(NVIDIA % text, (2, 1, 2))
    assert [tuple(blob.shape) for blob in module.blobs] == [(1,)] * 5
    assert [spec.lr_mult for spec in module.param.param] == [0, 0, 0]
    assert [blob.requires_grad for blob in module.blobs] == [False] * 3 + [True] * 2
    assert module.blobs[3].item() == 1 and module.blobs[4].item() == 0
    module.blobs[3].data.fill_(2)
    module.blobs[4].data.fill_(10)
    x = torch.tensor(BATCH)
    np.testing.assert_allclose(module(x).detach(), (x - 2) / 3 * 2 + 10, rtol=1e-6)


def test_its_kept_statistics():
    module = build(NVIDIA % "scale_bias: true", (2, 1, 2), phase=TEST)
    for blob, value in zip(module.blobs, (3, 12, 1, 2, 10)):
        blob.data.fill_(value)
    x = torch.tensor(BATCH)
    wanted = (x - 3) / 4 * 2 + 10
    np.testing.assert_allclose(module(x).detach(), wanted, rtol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(module.forward_inplace(x.clone()), wanted, rtol=1e-6)


def test_fields_about_how_other_forks_compute_are_accepted():
    net = prototxt.read_net_text("""
        default_forward_type: FLOAT16 default_backward_math: FLOAT eltwise_mem_sharing: false
        layer { name: "x" type: "Input" top: "x" forward_type: FLOAT16 engine: "MKLDNN" }
        layer { name: "r" type: "ReLU" bottom: "x" top: "x" relu_param { engine: MKL2017 }
                quantization_param { bw_layer_in: 8 scale_in: 0.5 } }""")
    assert net.layer[1].type == "ReLU"


# -- activations


@pytest.mark.parametrize("kind, function", [
    ("Mish", lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    ("HardSigmoid", lambda x: min(max(x / 6 + 0.5, 0), 1)),
    ("HardSwish", lambda x: x * min(max(x + 3, 0), 6) / 6),
    ("SeLu", lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)))])
def test_activations(kind, function):
    x = [-4.0, -2.5, -0.5, 0.0, 0.5, 2.9, 3.1, 7.0]
    np.testing.assert_allclose(run(f'type: "{kind}"', x), [function(v) for v in x], rtol=1e-5,
                               atol=1e-7)
    step = 1e-3
    slopes = [(function(v + step) - function(v - step)) / (2 * step) for v in x if v]
    got = gradient(f'type: "{kind}"', 1, [v for v in x if v])
    np.testing.assert_allclose(got, slopes, rtol=1e-3, atol=1e-4)


def test_dropout_for_selu_keeps_mean_and_variance():
    torch.manual_seed(0)
    x = torch.randn(100000)
    text = 'type: "SeLuDropout" selu_dropout_param { dropout_ratio: 0.2 }'
    top = build(text, x.shape)(x)
    assert abs(top.mean()) < 0.02 and abs(top.var() - 1) < 0.02
    values, counts = top.unique(return_counts=True)
    assert 19000 < counts.max() < 21000         # those that are dropped are all equal
    assert torch.equal(build(text, x.shape, phase=TEST)(x), x)


def test_a_parameter_is_filled():
    module = build('type: "Parameter" parameter_param { shape { dim: 3 } '
                   "blob_filler { value: 2 } }")
    assert module.blobs[0].tolist() == [2, 2, 2]
