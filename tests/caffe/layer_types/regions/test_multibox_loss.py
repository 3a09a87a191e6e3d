"""SSD's MultiBoxLoss: by hand, and against a slow twin."""
import math

import numpy as np
import pytest
import slow_detection
from layer_harness import build, gradient, run

from caffe.core.errors import LayerError

LOG2, LOG3, LOG4 = math.log(2), math.log(3), math.log(4)
PRIORS = [[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.25], [0.5, 0.5, 1, 1], [0, 0.5, 0.5, 1]]
# image, label, number, box, difficult: prior 0 itself, which overlaps prior 1 by a half
OBJECT = [0, 1, 0, 0, 0, 0.5, 0.5, 0]
# scores of background and class 1: probabilities 1/2 1/2 | 1/4 3/4 | 2/3 1/3 | 1/3 2/3
SCORES = [0, 0, 0, LOG3, LOG2, 0, 0, LOG2]
COST = [(LOG2, LOG2), (LOG4, LOG4 - LOG3), (LOG3 - LOG2, LOG3), (LOG3, LOG3 - LOG2)]


def loss_of(options, offsets, objects, scores=(SCORES,), priors=PRIORS, variance=0.1,
            normalization="VALID", call=run, first=()):
    text = f'type: "MultiBoxLoss" multibox_loss_param {{ num_classes: 2 {options} }} ' \
           f"loss_param {{ normalization: {normalization} }}"
    top = [[np.ravel(priors).tolist(), [variance] * (4 * len(priors))]]
    return call(text, *first, np.asarray(offsets, float).reshape(len(scores), -1).tolist(),
                np.asarray(scores, float).tolist(), top, [[objects]])


@pytest.mark.parametrize("options, matched, background", [
    ("match_type: BIPARTITE", [0], [3, 2]),             # prior 1 overlaps too much for background
    ("match_type: BIPARTITE neg_pos_ratio: 1", [0], [3]),
    ("match_type: BIPARTITE neg_overlap: 0.6", [0], [1, 3, 2]),
    ("match_type: BIPARTITE mining_type: NONE", [0], [1, 2, 3]),
    ("overlap_threshold: 0.5", [0, 1], [3, 2]), ("overlap_threshold: 0.51", [0], [3, 2])])
def test_which_priors_count(options, matched, background):
    """Offsets that say what they shall: only the classes cost something."""
    offsets = np.zeros((4, 4))
    offsets[1, 3] = 0.25 / 0.1              # CORNER: the far corner of prior 1 moves by 0.25
    expected = sum(COST[i][1] for i in matched) + sum(COST[i][0] for i in background)
    for normalization, divisor in (("VALID", len(matched)), ("FULL", 4), ("BATCH_SIZE", 1),
                                   ("NONE", 1)):
        loss = loss_of(options, offsets, [OBJECT], normalization=normalization)
        assert loss == pytest.approx(expected / divisor, rel=1e-5)


def test_offsets_of_the_matched_prior_cost():
    """The box of prior 0 with offsets 0.5 and 3: 0.125 and 2.5, or half of the squares."""
    offsets = np.zeros((4, 4))
    offsets[0, :2] = 0.5, 3
    base = "match_type: BIPARTITE neg_pos_ratio: 0 "
    for options, expected in (("", 2.625), ("loc_weight: 2", 5.25), ("loc_loss_type: L2", 4.625)):
        assert loss_of(base + options, offsets, [OBJECT]) == pytest.approx(LOG2 + expected)
    got = loss_of(base, offsets, [OBJECT], call=gradient, first=(1,))
    np.testing.assert_allclose(np.reshape(got, (4, 4)), [[0.5, 1, 0, 0], *np.zeros((3, 4))])


def test_variances_may_stay_in_the_offsets():
    """encode_variance_in_target: offset 0.25 of prior 1's corner, and both sides over 0.1."""
    offsets = np.zeros((4, 4))
    offsets[0, 0] = 0.05
    options = "match_type: BIPARTITE neg_pos_ratio: 0 encode_variance_in_target: true"
    assert loss_of(options, offsets, [OBJECT]) == pytest.approx(LOG2 + 0.125)


def test_logistic_classes():
    """Each class by itself: twice sigmoid(0) = 1/2 for the match, and the hardest of the others."""
    options = "match_type: BIPARTITE neg_pos_ratio: 1 conf_loss_type: LOGISTIC"
    background = LOG2 + LOG3                # prior 3: target 1 at sigmoid 1/2, 0 at sigmoid 2/3
    assert loss_of(options, np.zeros((4, 4)), [OBJECT]) == pytest.approx(2 * LOG2 + background)


def test_images_without_objects_cost_nothing():
    nobody = [-1] * 8
    assert loss_of("", np.zeros((4, 4)), [nobody]) == 0
    base = "match_type: BIPARTITE neg_pos_ratio: 1"
    alone = loss_of(base, np.zeros((4, 4)), [OBJECT])
    assert loss_of(base, np.zeros((8, 4)), [OBJECT, nobody], scores=[SCORES] * 2) == alone
    difficult = [*OBJECT[:7], 1]
    assert loss_of("use_difficult_gt: false", np.zeros((4, 4)), [difficult]) == 0
    assert loss_of("mining_type: NONE", np.zeros((4, 4)), [nobody]) == \
        pytest.approx(sum(cost[0] for cost in COST))


def test_priors_across_the_border_can_be_left_out():
    """Prior 0 ends at -0.1: with the field it is neither matched nor background."""
    priors = [[-0.1, 0, 0.5, 0.5], *PRIORS[1:]]
    base = "match_type: BIPARTITE neg_pos_ratio: 0 code_type: CORNER_SIZE "
    inside = loss_of(base + "ignore_cross_boundary_bbox: true", np.zeros((4, 4)), [OBJECT],
                     variance=1, priors=priors)
    assert inside == pytest.approx(COST[1][1] + 0.5)        # prior 1: far corner off by its height
    across = loss_of(base, np.zeros((4, 4)), [OBJECT], variance=1, priors=priors)
    assert across == pytest.approx(COST[0][1] + 0.5 * (0.1 / 0.6) ** 2)


def test_all_objects_as_one_class():
    options = "map_object_to_agnostic: true match_type: BIPARTITE neg_pos_ratio: 0"
    other = [0, 7, *OBJECT[2:]]
    assert loss_of(options, np.zeros((4, 4)), [other]) == pytest.approx(COST[0][1])


def test_without_propagate_down_a_part_does_not_count():
    offsets = np.full((4, 4), 1.0)
    base = 'type: "MultiBoxLoss" multibox_loss_param { num_classes: 2 match_type: BIPARTITE ' \
           "neg_pos_ratio: 0 } "
    bottoms = (offsets.reshape(1, 16), [SCORES], [[np.ravel(PRIORS), [0.1] * 16]], [[[OBJECT]]])
    for flags, expected in (((True, False), 2), ((False, True), LOG2), ((True, True), 2 + LOG2)):
        text = base + "".join(f"propagate_down: {str(f).lower()} " for f in (*flags, False, False))
        assert run(text, *bottoms) == pytest.approx(expected)


@pytest.mark.parametrize("seed, changes", [
    (0, {}), (1, {"code_type": "CORNER"}), (2, {"code_type": "CORNER_SIZE"}),
    (3, {"neg_pos_ratio": 1.5, "neg_overlap": 0.3}), (4, {"overlap_threshold": 0.3}),
    (5, {"loc_weight": 0.5}), (6, {"use_difficult_gt": False})])
def test_loss_equals_the_slow_one(seed, changes):
    options = {"code_type": "CENTER_SIZE", "overlap_threshold": 0.5, "neg_overlap": 0.5,
               "neg_pos_ratio": 3.0, "loc_weight": 1.0, "use_difficult_gt": True, **changes}
    rng = np.random.default_rng(seed)
    priors = slow_detection.prior_boxes((4, 5), (80, 100), [(30, 30), (50, 40), (25, 50)])
    variances = np.tile([0.1, 0.1, 0.2, 0.2], (len(priors), 1))
    objects = []
    for image in (0, 0, 0, 2, 2, 2, 2):         # none in image 1
        x, y, w, h = rng.uniform([0, 0, 0.2, 0.2], [0.6, 0.6, 0.4, 0.4])
        objects.append([image, rng.integers(1, 4), 0, x, y, x + w, y + h, rng.integers(0, 2)])
    offsets = rng.normal(size=(3, len(priors), 4))
    scores = rng.normal(size=(3, len(priors), 4))
    total, matches = slow_detection.multibox_loss(offsets, scores, priors, variances, objects,
                                                  options)
    text = " ".join(f"{name}: {str(value).lower() if name != 'code_type' else value}"
                    for name, value in options.items())
    loss = run(f'type: "MultiBoxLoss" multibox_loss_param {{ num_classes: 4 {text} }}',
               offsets.reshape(3, -1), scores.reshape(3, -1),
               [[priors.ravel(), variances.ravel()]], [[objects]])
    assert matches >= 6 and loss == pytest.approx(total / matches, rel=1e-4)


SHAPES = ((1, 16), (1, 8), (1, 2, 16), (1, 1, 3, 8))


@pytest.mark.parametrize("options, problem", [
    ("", "num_classes > 0, got none"), ("num_classes: 2 share_location: false", "share_location"),
    ("num_classes: 2 mining_type: HARD_EXAMPLE", "without mining_type: HARD_EXAMPLE"),
    ("num_classes: 2 nms_param { }", "without nms_param"),
    ("num_classes: 2 conf_loss_type: LOGISTIC mining_type: NONE", "LOGISTIC without mining"),
    ("num_classes: 3 map_object_to_agnostic: true", "num_classes 2 .*got 3"),
    ("num_classes: 2 do_neg_mining: false", "do_neg_mining as mining_type says")])
def test_bad_options(options, problem):
    with pytest.raises(LayerError, match=problem):
        build(f'type: "MultiBoxLoss" multibox_loss_param {{ {options} }}', *SHAPES)


@pytest.mark.parametrize("index, shape, problem", [
    (0, (1, 12), "4 offsets for each of the 4 priors"), (1, (2, 8), "2 scores for each of the 4"),
    (2, (1, 16), r"priors of shape \(1, 2, P \* 4\)"), (3, (1, 1, 3, 7), "objects of shape")])
def test_bottoms_that_do_not_fit(index, shape, problem):
    shapes = [*SHAPES[:index], shape, *SHAPES[index + 1:]]
    module = build('type: "MultiBoxLoss" multibox_loss_param { num_classes: 2 }', *SHAPES)
    with pytest.raises(LayerError, match=problem):
        module.top_shapes(shapes)


@pytest.mark.parametrize("wrong, problem", [
    ([0, 0, *OBJECT[2:]], "no object with the label of the background"),
    ([0, 2, *OBJECT[2:]], "each label in 0 .. 1, got 2"),
    ([0, 1, 0, 0.5, 0, 0.5, 0.5, 0], "boxes with a width and a height")])
def test_bad_objects(wrong, problem):
    with pytest.raises(LayerError, match=problem):
        loss_of("", np.zeros((4, 4)), [wrong])
