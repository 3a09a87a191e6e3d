"""Proposal, PriorBox and DetectionOutput: by hand, and against slow twins."""
import logging
import math

import numpy as np
import pytest
import slow_detection
from layer_harness import build, run

from caffe.core.errors import LayerError
from caffe.operators.anchors import generate_anchors

# -- Proposal

PROPOSAL = 'type: "Proposal" proposal_param { ratio: 0.5 ratio: 1 ratio: 2 scale: 2 scale: 4 %s }'


def rpn(seed, height=4, width=5, anchors=6):
    rng = np.random.default_rng(seed)
    return (rng.random((1, 2 * anchors, height, width)).astype(np.float32),
            rng.normal(0, 0.3, (1, 4 * anchors, height, width)).astype(np.float32))


@pytest.mark.parametrize("options, im_info", [
    ({}, [60, 75, 1.0]),
    ({"min_size": 20}, [64, 80, 2.0, 1.5, 2.0, 1.5]),           # some are too small
    ({"pre_nms_topn": 30, "post_nms_topn": 7, "nms_thresh": 0.3}, [64, 80, 1.0]),
    ({"feat_stride": 8, "base_size": 8, "min_size": 1}, [30, 40, 1.0, 1.0, 1.0, 1.0])])
def test_proposals_equal_the_slow_ones(options, im_info):
    scores, deltas = rpn(len(options))
    all_options = {"feat_stride": 16, "min_size": 16, "pre_nms_topn": 6000, "post_nms_topn": 300,
                   "nms_thresh": 0.7, **options}
    anchors = generate_anchors(options.get("base_size", 16), (0.5, 1, 2), (2, 4))
    expected = slow_detection.proposals(scores[0], deltas[0], im_info, anchors, all_options)
    text = PROPOSAL % " ".join(f"{name}: {value}" for name, value in options.items())
    rois, probabilities = run(text, scores, deltas, [im_info], tops=2)
    assert 0 < len(rois) == len(expected[0])
    np.testing.assert_allclose(rois, expected[0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(probabilities, expected[1], rtol=1e-6)


def test_a_proposal_by_hand():
    """One anchor of 16 x 16 at (0, 0) and at (16, 0); the second moves up by half its height."""
    text = 'type: "Proposal" proposal_param { ratio: 1 scale: 1 }'
    scores = np.array([0.5, 0.5, 0.25, 0.75]).reshape(1, 2, 1, 2)
    deltas = np.zeros((1, 4, 1, 2))
    deltas[0, 1, 0, 1] = -0.5
    deltas[0, 2, 0, 0] = math.log(2)
    rois, probabilities = run(text, scores, deltas, [[100, 100, 1]], tops=2)
    # the centre lies at 8, and half of the size on both sides, so that far corners are at 16
    np.testing.assert_allclose(rois, [[0, 0, 0, 24, 16], [0, 16, 0, 32, 8]], atol=1e-5)
    assert probabilities.tolist() == [0.25, 0]      # 9 pixels are less than min_size 16


def test_rois_that_are_too_small_come_last_and_stay():
    text = 'type: "Proposal" proposal_param { ratio: 1 scale: 1 min_size: 17 }'
    scores = np.full((1, 2, 1, 3), 0.5)
    rois, probabilities = run(text, scores, np.zeros((1, 4, 1, 3)), [[17, 49, 1, 1.1]], tops=2)
    assert probabilities.tolist() == [0, 0, 0] and rois[:, 1].tolist() == [0, 16, 32]
    rois, probabilities = run(text, scores, np.zeros((1, 4, 1, 3)), [[17, 49, 1, 1]], tops=2)
    assert probabilities.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("options, problem", [
    ("scale: 1", "one ratio or more, each > 0, got none"),
    ("ratio: 1 scale: -2", r"one scale or more, each > 0, got \[-2.0\]"),
    ("ratio: 1 scale: 1 feat_stride: 0", "feat_stride > 0, got 0"),
    ("ratio: 1 scale: 1 post_nms_topn: 0", "post_nms_topn > 0, got 0")])
def test_bad_proposal_options(options, problem):
    with pytest.raises(LayerError, match=problem):
        build(f'type: "Proposal" proposal_param {{ {options} }}', (1, 2, 3, 3), (1, 4, 3, 3),
              (1, 3))


@pytest.mark.parametrize("shapes, problem", [
    (((2, 12, 4, 5), (2, 24, 4, 5), (2, 6)), r"probabilities \(1, 12, H, W\).*got \(2, 12, 4, 5\)"),
    (((1, 18, 4, 5), (1, 36, 4, 5), (1, 6)), "for 6 anchors, got"),
    (((1, 12, 4, 5), (1, 24, 5, 4), (1, 6)), "for 6 anchors, got"),
    (((1, 12, 4, 5), (1, 24, 4, 5), (1, 2)), r"im_info of shape \(1, 3\) or more, got \(1, 2\)")])
def test_bottoms_that_do_not_fit_a_proposal_layer(shapes, problem):
    with pytest.raises(LayerError, match=problem):
        build(PROPOSAL % "", *shapes).top_shapes(shapes)


# -- PriorBox


def priors(options, map_size=(2, 3), image_size=(60, 120)):
    return run(f'type: "PriorBox" prior_box_param {{ {options} }}', np.zeros((1, 4, *map_size)),
               np.zeros((1, 3, *image_size)))


def test_prior_boxes_by_hand():
    """One cell of a map on an image of 10 x 20; sizes 2, sqrt(2 * 8) = 4, and 2 with ratio 4."""
    top = priors("min_size: 2 max_size: 8 aspect_ratio: 4 variance: 0.1 variance: 0.1 "
                 "variance: 0.2 variance: 0.3", (1, 1), (10, 20))
    assert top.shape == (1, 2, 16)
    boxes = [[9, 4, 11, 6], [8, 3, 12, 7], [8, 4.5, 12, 5.5], [9.5, 3, 10.5, 7]]
    np.testing.assert_allclose(top[0, 0].reshape(4, 4) * [20, 10, 20, 10], boxes, rtol=1e-6)
    np.testing.assert_allclose(top[0, 1].reshape(4, 4), [[0.1, 0.1, 0.2, 0.3]] * 4, rtol=1e-6)


ROOT = math.sqrt(30 * 60)


@pytest.mark.parametrize("options, sizes, others", [
    ("min_size: 30.9", [(30, 30)], {}),                              # cut to whole pixels
    ("min_size: 30 max_size: 60", [(30, 30), (ROOT, ROOT)], {}),
    ("min_size: 30 aspect_ratio: 1 aspect_ratio: 4 aspect_ratio: 4.0 flip: false",
     [(30, 30), (60, 15)], {}),
    ("min_size: 10 min_size: 20 max_size: 30 max_size: 40 aspect_ratio: 4",
     [(10, 10), (300 ** 0.5,) * 2, (20, 5), (5, 20), (20, 20), (800 ** 0.5,) * 2, (40, 10),
      (10, 40)], {}),
    ("min_size: 30 step: 16 offset: 0", [(30, 30)], {"step": (16, 16), "offset": 0}),
    ("min_size: 30 step_h: 16 step_w: 20", [(30, 30)], {"step": (16, 20)}),
    ("min_size: 30 img_size: 300", [(30, 30)], {"image_size": (300, 300)}),
    ("min_size: 30 img_h: 100 img_w: 200", [(30, 30)], {"image_size": (100, 200)})])
def test_prior_boxes_equal_the_slow_ones(options, sizes, others):
    expected = slow_detection.prior_boxes(
        **{"map_size": (2, 3), "image_size": (60, 120), "sizes": sizes, **others})
    top = priors(options)
    np.testing.assert_allclose(top[0, 0].reshape(-1, 4), expected, rtol=1e-5, atol=1e-7)
    assert np.unique(top[0, 1]).tolist() == [np.float32(0.1)]
    clipped = priors(options + " clip: true")
    np.testing.assert_allclose(clipped[0, 0], top[0, 0].clip(0, 1))


@pytest.mark.parametrize("options, problem", [
    ("", "one min_size or more"), ("min_size: 0", r"each min_size > 0, got \[0.0\]"),
    ("min_size: 3 max_size: 4 max_size: 5", "as many max_size or none, got 1 and 2"),
    ("min_size: 3 max_size: 2", "max_size > min_size, got 2.0 and 3.0"),
    ("min_size: 3 variance: 1 variance: 2", "no variance, one, or four, got 2"),
    ("min_size: 3 img_size: 9 img_h: 3 img_w: 4", "img_size, or img_h and img_w"),
    ("min_size: 3 img_h: 3", "img_size, or img_h and img_w, each > 0, got img_h"),
    ("min_size: 3 step: 0", "step, or step_h and step_w, each > 0"),
    ("min_size: 3 aspect_ratio: 0", "each aspect_ratio > 0")])
def test_bad_prior_box_options(options, problem):
    with pytest.raises(LayerError, match=problem):
        priors(options)


# -- DetectionOutput

NAMES = ("code_type", "share_location", "background_label_id", "variance_encoded_in_target",
         "keep_top_k", "confidence_threshold")


def output(options, *bottoms):
    p = " ".join(f"{name}: {str(options[name]).lower() if name != 'code_type' else options[name]}"
                 for name in NAMES)
    text = (f'type: "DetectionOutput" detection_output_param {{ num_classes: '
            f'{options["num_classes"]} {p} nms_param {{ nms_threshold: {options["nms_threshold"]} '
            f'top_k: {options["top_k"]} eta: {options["eta"]} }} }}')
    return run(text, *bottoms)


DEFAULTS = {"num_classes": 4, "share_location": True, "background_label_id": 0,
            "code_type": "CENTER_SIZE", "variance_encoded_in_target": False, "keep_top_k": 20,
            "confidence_threshold": 0.1, "nms_threshold": 0.45, "top_k": 15, "eta": 1}


@pytest.mark.parametrize("changes", [
    {}, {"code_type": "CORNER"}, {"code_type": "CORNER_SIZE"}, {"share_location": False},
    {"variance_encoded_in_target": True}, {"background_label_id": -1},
    {"background_label_id": 2, "share_location": False, "code_type": "CORNER"},
    {"keep_top_k": -1}, {"keep_top_k": 3}, {"top_k": 2}, {"confidence_threshold": 0.6},
    {"nms_threshold": 0}, {"nms_threshold": 0.9, "eta": 0.8}, {"nms_threshold": 0.4, "eta": 0.5}])
def test_detections_equal_the_slow_ones(changes):
    options = {**DEFAULTS, **changes}
    rng = np.random.default_rng(3)
    boxes = slow_detection.prior_boxes((3, 4), (60, 80), [(30, 30), (40, 20)])
    count, classes = len(boxes), options["num_classes"]
    variances = np.tile([0.1, 0.1, 0.2, 0.2], (count, 1))
    places = 1 if options["share_location"] else classes
    spread = 0.3 if options["variance_encoded_in_target"] else 1
    offsets = rng.normal(0, spread, (2, count, places, 4)).astype(np.float32)
    scores = rng.dirichlet(np.ones(classes), (2, count)).astype(np.float32)
    expected = slow_detection.detections(offsets, scores, boxes, variances, options)
    top = output(options, offsets.reshape(2, -1), scores.reshape(2, -1),
                 np.stack([boxes.ravel(), variances.ravel()])[None])
    assert top.shape == (1, 1, len(expected), 7) and len(expected) >= 6
    np.testing.assert_allclose(top[0, 0], expected, rtol=1e-5, atol=1e-6)


def test_detections_by_hand():
    """Three priors, two of them alike: of the pair the better one stays, for each class by itself.
    """
    boxes = [[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.4], [0.6, 0.6, 0.9, 0.9]]
    scores = [[0.1, 0.7, 0.2], [0.1, 0.6, 0.3], [0.5, 0.01, 0.49]]
    options = {**DEFAULTS, "num_classes": 3, "confidence_threshold": 0.01, "keep_top_k": -1}
    top = output(options, np.zeros((1, 12)), np.reshape(scores, (1, -1)),
                 [[np.ravel(boxes), np.full(12, 0.1)]])
    np.testing.assert_allclose(top[0, 0], [[0, 1, 0.7, *boxes[0]], [0, 2, 0.49, *boxes[2]],
                                           [0, 2, 0.3, *boxes[1]]], rtol=1e-5)


def test_an_overlap_of_just_the_threshold_is_allowed():
    """Boxes of 1/2 and 1/4 of the image, one inside the other: their overlap is 1/2."""
    boxes = [[0, 0, 0.5, 1], [0, 0, 0.5, 0.5]]
    for threshold, count in ((0.5, 2), (0.499, 1)):
        options = {**DEFAULTS, "num_classes": 2, "nms_threshold": threshold}
        top = output(options, np.zeros((1, 8)), [[0, 0.9, 0, 0.8]], [[np.ravel(boxes), [0.1] * 8]])
        assert top.shape == (1, 1, count, 7)


def test_thresholds_can_fall():
    """Boxes that overlap the first one by 0.75 and 0.55: with eta 0.75 the threshold falls from
    0.8 to 0.6 behind the first, and to 0.45 behind the second that stays.
    """
    boxes = [[0, 0, 1, 1], [0, 0, 0.75, 1], [0, 0, 0.55, 1]]
    for eta, left in ((1, [0, 1, 2]), (0.75, [0, 2]), (0.6, [0])):
        top = output({**DEFAULTS, "num_classes": 2, "nms_threshold": 0.8, "eta": eta},
                     np.zeros((1, 12)), [[0, 0.9, 0, 0.8, 0, 0.7]],
                     [[np.ravel(boxes), [0.1] * 12]])
        np.testing.assert_allclose(top[0, 0, :, 3:], [boxes[i] for i in left], atol=1e-6)


def test_nothing_found_is_a_row_for_each_image():
    top = output({**DEFAULTS, "num_classes": 2}, np.zeros((3, 4)), np.zeros((3, 2)),
                 [[[0, 0, 1, 1], [0.1] * 4]])
    assert top.tolist() == [[[[i, *[-1] * 6] for i in range(3)]]]


def test_results_that_are_not_written_are_a_log_line(caplog):
    with caplog.at_level(logging.INFO, "caffe"):
        build('type: "DetectionOutput" detection_output_param { num_classes: 2 '
              'save_output_param { output_directory: "out" output_format: "VOC" } }',
              (1, 4), (1, 2), (1, 2, 4))
    assert 'Layer "lay": save_output_param writes no files, since there is no label_map_file ""' \
        in caplog.text


@pytest.mark.parametrize("options, shapes, problem", [
    ("", ((1, 8), (1, 4), (1, 2, 8)), "num_classes > 0, got none"),
    ("num_classes: 2 nms_param { nms_threshold: -1 }", ((1, 8), (1, 4), (1, 2, 8)), "got -1 and 1"),
    ("num_classes: 2 nms_param { eta: 0 }", ((1, 8), (1, 4), (1, 2, 8)), "got 0.3 and 0"),
    ("num_classes: 2", ((1, 8), (1, 6), (1, 2, 8)), "2 confidences for each of the 2 priors"),
    ("num_classes: 2", ((1, 12), (1, 4), (1, 2, 8)), "4 offsets for each of the 2 priors"),
    ("num_classes: 2", ((2, 8), (1, 4), (1, 2, 8)), "2 confidences for each"),
    ("num_classes: 2", ((1, 8), (1, 4), (2, 8)), r"priors of shape \(1, 2, P \* 4\), got \(2, 8\)"),
    ("num_classes: 2 share_location: false", ((1, 8), (1, 4), (1, 2, 8)), "8 offsets for each")])
def test_bad_detection_outputs(options, shapes, problem):
    with pytest.raises(LayerError, match=problem):
        build(f'type: "DetectionOutput" detection_output_param {{ {options} }}',
              *shapes).top_shapes(shapes)
