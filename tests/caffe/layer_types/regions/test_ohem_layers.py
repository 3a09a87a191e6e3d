"""The layers of R-FCN's online hard example mining: by hand, and against slow twins."""
import math

import numpy as np
import pytest
import slow_detection
from layer_harness import build, gradient, run

from caffe.core.errors import LayerError

LOG3 = math.log(3)
# 3 items, 2 classes; class 1 has the probability 3 / 4: label 0 costs log 4, label 1 log 4/3
SCORES = np.tile([0, LOG3], (3, 1))
LABELS = [0, 1, -1]
COSTS = [math.log(4), math.log(4 / 3), 0]


@pytest.mark.parametrize("options, divisor", [
    ("", 2), ("normalization: FULL", 3), ("normalization: BATCH_SIZE", 3),
    ("normalization: NONE", 1), ("normalization: PRE_FIXED pre_fixed_normalizer: 128", 128),
    ("normalization: PRE_FIXED pre_fixed_normalizer: 0.5", 1),      # never less than 1
    ("normalization: PRE_FIXED", 1), ("normalize: false", 3)])
def test_softmax_loss_with_the_loss_of_each_roi(options, divisor):
    text = f'type: "SoftmaxWithLossOHEM" loss_param {{ ignore_label: -1 {options} }}'
    for shape in ((3,), (3, 1, 1, 1)):
        loss, probabilities, each = run(text, SCORES, np.reshape(LABELS, shape), tops=3)
        assert loss == pytest.approx(sum(COSTS) / divisor)
        assert each.shape == shape and each.ravel() == pytest.approx(COSTS)
        np.testing.assert_allclose(probabilities, np.tile([0.25, 0.75], (3, 1)), rtol=1e-6)
    expected = np.array([[-0.75, 0.75], [0.25, -0.25], [0, 0]]) * 2 / divisor
    np.testing.assert_allclose(gradient(text, 2, SCORES, LABELS, tops=3), expected, rtol=1e-5)


def test_losses_of_classes_and_boxes_can_be_added():
    scores, labels = np.reshape(SCORES, (3, 2, 1, 1)), np.reshape(LABELS, 3)
    text = 'type: "SoftmaxWithLossOHEM" loss_param { ignore_label: -1 }'
    _, _, of_classes = run(text, scores, labels, tops=3)
    _, of_boxes = run('type: "SmoothL1LossOHEM"', scores, scores, tops=2)
    assert of_classes.shape == of_boxes.shape == (3, 1, 1, 1)
    assert of_classes.ravel() == pytest.approx(COSTS)


def test_pre_fixed_divides_the_other_losses_as_well():
    text = 'type: "{}" loss_param {{ normalization: PRE_FIXED pre_fixed_normalizer: 8 }}'
    assert run(text.format("SoftmaxWithLoss"), SCORES[:1], [0]) == pytest.approx(math.log(4) / 8)
    assert run(text.format("SigmoidCrossEntropyLoss"), [[LOG3]], [[0]]) == \
        pytest.approx(math.log(4) / 8)


def test_smooth_l1_loss_of_each_item():
    """Differences 0.5, -3 | 1, 2 cost 0.125, 2.5 | 0.5, 1.5; a weight of 0 takes the last away."""
    x, target = [[1.5, 0], [1, 5]], [[1, 3], [0, 3]]
    weights = [[1, 1], [1, 0]]
    text = 'type: "SmoothL1LossOHEM" loss_param {{ {} }}'
    for options, divisor in (("", 2), ("normalization: FULL", 2), ("normalization: BATCH_SIZE", 2),
                             ("normalization: NONE", 1), ("normalize: true", 2),
                             ("normalization: PRE_FIXED pre_fixed_normalizer: 4", 4)):
        loss, each = run(text.format(options), x, target, weights, tops=2)
        assert loss == pytest.approx((0.125 + 2.5 + 0.5) / divisor)
        assert each.shape == (2, 1, 1, 1) and each.ravel().tolist() == [2.625, 0.5]
        expected = np.array([[0.5, -1], [1, 0]]) * 3 / divisor
        for of, sign in ((0, 1), (1, -1)):
            got = gradient(text.format(options), 3, x, target, weights, of=of, tops=2)
            np.testing.assert_allclose(got, sign * expected)
    assert run(text.format(""), x, target) == pytest.approx((0.125 + 2.5 + 0.5 + 1.5) / 2)


def test_smooth_l1_loss_counts_places():
    """FULL and VALID divide by N H W, BATCH_SIZE by N; the second top has a value per place."""
    x = np.arange(12.0).reshape(1, 3, 2, 2)
    loss, each = run('type: "SmoothL1LossOHEM"', x, np.zeros_like(x), tops=2)
    costs = np.where(x < 1, x * x / 2, x - 0.5)
    np.testing.assert_allclose(each, costs.sum(1, keepdims=True))
    assert loss == pytest.approx(costs.sum() / 4)
    by_item = run('type: "SmoothL1LossOHEM" loss_param { normalization: BATCH_SIZE }', x,
                  np.zeros_like(x))
    assert by_item == pytest.approx(costs.sum())


def test_the_gradient_has_no_factor_weight():
    """As the original's: smooth_l1'(2 * 0.25) = 0.5, and not twice that."""
    text = 'type: "SmoothL1LossOHEM"'
    assert run(text, [[0.25]], [[0]], [[2]]) == pytest.approx(0.125)
    assert gradient(text, 1, [[0.25]], [[0.0]], [[2.0]]).tolist() == [[0.5]]


def test_default_loss_weights():
    assert build('type: "SoftmaxWithLossOHEM"', (3, 2), (3,)).is_loss
    assert not build('type: "SmoothL1LossOHEM"', (3, 2), (3, 2)).is_loss


def annotate(count, *bottoms, ignore=""):
    return run('type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: %d %s }'
               % (count, ignore), *bottoms, tops=2)


def test_the_hardest_rois_of_each_image_by_hand():
    """Two images; equal losses: the first of them stays."""
    rois = [[i, 0, 0, 9, 9] for i in (0, 0, 0, 1, 1, 0)]
    losses, labels = [0.5, 2, 1, 0.1, 0.2, 2], [3, 0, 5, 0, 6, 7]
    weights = np.arange(1, 49).reshape(6, 8)
    top_labels, top_weights = annotate(2, rois, losses, labels, weights)
    assert top_labels.shape == (6, 1, 1, 1) and top_weights.shape == (6, 8, 1, 1)
    assert top_labels.ravel().tolist() == [-1, 0, -1, 0, 6, 7]
    kept = np.array([[0], [1], [0], [1], [1], [1]])
    assert top_weights[:, :, 0, 0].tolist() == (kept * weights).tolist()
    only_one, _ = annotate(1, rois, losses, labels, weights, ignore="ignore_label: 255")
    assert only_one.ravel().tolist() == [255, 0, 255, 255, 6, 255]


@pytest.mark.parametrize("seed", range(4))
def test_the_hardest_rois_equal_the_slow_ones(seed):
    rng = np.random.default_rng(seed)
    rois = np.column_stack([rng.integers(0, 3, 40), rng.random((40, 4))])
    losses, labels = rng.random(40).round(1), rng.integers(0, 21, 40)
    kept = slow_detection.hardest(rois.tolist(), losses, 5)
    top_labels, _ = annotate(5, rois[..., None, None], losses[:, None, None, None],
                             labels[:, None], np.ones((40, 8)))
    expected = [labels[i] if i in kept else -1 for i in range(40)]
    assert top_labels.ravel().tolist() == expected


def test_places_count_as_rois():
    rois = np.zeros((1, 5, 2, 2))
    labels, weights = annotate(1, rois, [[[[1, 4], [3, 2]]]], np.ones((1, 1, 2, 2)),
                               np.ones((1, 4, 2, 2)))
    assert labels.tolist() == [[[[-1, 1], [-1, -1]]]] and weights.sum() == 4


@pytest.mark.parametrize("shapes, problem", [
    (((3, 4), (3,), (3,), (3, 8)), r"rois of shape \(3, 5, 1, 1\), got \(3, 4, 1, 1\)"),
    (((3, 5), (4,), (3,), (3, 8)), r"losses of shape \(3, 1, 1, 1\), got \(4, 1, 1, 1\)"),
    (((3, 5), (3,), (3, 2), (3, 8)), "labels of shape"),
    (((3, 5), (3,), (3,), (2, 8)), r"weights of shape \(3, 8, 1, 1\), got \(2, 8, 1, 1\)")])
def test_bottoms_that_do_not_fit_an_annotator(shapes, problem):
    module = build('type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 2 }', *shapes,
                   tops=2)
    with pytest.raises(LayerError, match=problem):
        module.top_shapes(shapes)


@pytest.mark.parametrize("options, got", [("", "none"),
                                          ("box_annotator_ohem_param { roi_per_img: 0 }", "0")])
def test_an_annotator_needs_a_number_of_rois(options, got):
    with pytest.raises(LayerError, match=f"roi_per_img > 0, got {got}"):
        build(f'type: "BoxAnnotatorOHEM" {options}', (3, 5), (3,), (3,), (3, 8), tops=2)


def test_predictions_and_targets_of_other_sizes_are_refused():
    module = build('type: "SmoothL1LossOHEM"', (3, 2), (3, 4))
    with pytest.raises(LayerError, match="same number of values"):
        module.top_shapes([(3, 2), (3, 4)])
