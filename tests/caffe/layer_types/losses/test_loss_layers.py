"""Losses, Softmax and metrics: by hand."""
import math

import numpy as np
import pytest
import torch
from layer_harness import build, gradient, run

from caffe.core.errors import LayerError
from caffe.files import weights

LOG3 = math.log(3)


def test_softmax_along_an_axis():
    x = np.log([[1., 3.], [3., 1.]])
    np.testing.assert_allclose(run('type: "Softmax"', x), [[0.25, 0.75], [0.75, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(run('type: "Softmax" softmax_param { axis: 0 }', [[0., 5.], [LOG3,
                               5.]]), [[0.25, 0.5], [0.75, 0.5]], rtol=1e-6)


# Scores of 2 items with 2 classes at 2 places; every probability of class 1 is 3 / 4, so that
# label 0 costs log 4 and label 1 costs log 4/3. Labels: 0 1 | 1 7, and 7 is ignored.
SCORES = np.zeros((2, 2, 2))
SCORES[:, 1] = LOG3
LABELS = [[0, 1], [1, 7]]
TOTAL = math.log(4) + 2 * math.log(4 / 3)


@pytest.mark.parametrize("options, divisor", [
    ("", 3), ("normalization: VALID", 3), ("normalization: FULL", 4),
    ("normalization: BATCH_SIZE", 2), ("normalization: NONE", 1), ("normalize: true", 3),
    ("normalize: false", 2), ("normalize: false normalization: FULL", 4)])
def test_softmax_loss_normalizations(options, divisor):
    text = f'type: "SoftmaxWithLoss" loss_param {{ ignore_label: 7 {options} }}'
    loss, probabilities = run(text, SCORES, LABELS, tops=2)
    assert loss.shape == () and loss == pytest.approx(TOTAL / divisor)
    np.testing.assert_allclose(probabilities[0], [[0.25, 0.25], [0.75, 0.75]], rtol=1e-6)
    # probability - 1 at the label, nothing where it is ignored, times the top's gradient 2
    expected = np.array([[[-0.75, 0.25], [0.75, -0.25]], [[0.25, 0], [-0.25, 0]]])
    got = gradient(text, 2, SCORES.tolist(), LABELS, tops=2)
    np.testing.assert_allclose(got, 2 * expected / divisor, rtol=1e-5)


def test_losses_divide_by_at_least_one():
    text = 'type: "SoftmaxWithLoss" loss_param { ignore_label: 7 }'
    assert run(text, SCORES, [[7, 7], [7, 7]]) == 0


def test_label_layouts():
    text = 'type: "SoftmaxWithLoss" loss_param { ignore_label: 7 }'
    for shape in ((2, 2), (2, 1, 2), (2, 2, 1, 1)):
        assert run(text, SCORES, np.reshape(LABELS, shape)) == pytest.approx(TOTAL / 3)
    moved = np.moveaxis(SCORES, 1, 2)
    text += " softmax_param { axis: -1 }"
    assert run(text, moved, LABELS) == pytest.approx(TOTAL / 3)


def test_softmax_loss_is_cut_at_flt_min_but_its_gradient_is_not():
    scores = [[0.0, 1000.0]]
    loss = run('type: "SoftmaxWithLoss"', scores, [0])
    assert loss == pytest.approx(-math.log(np.finfo(np.float32).tiny))
    assert gradient('type: "SoftmaxWithLoss"', 1, scores, [0]).tolist() == [[-1, 1]]


def test_sigmoid_cross_entropy():
    # sigmoid(log 3) = 3 / 4; targets 1, 0, 0.5 and the ignored -1
    scores, targets = [[LOG3, LOG3], [LOG3, LOG3]], [[1, 0], [0.5, -1]]
    terms = [math.log(4 / 3), math.log(4), (math.log(4) + math.log(4 / 3)) / 2]
    text = 'type: "SigmoidCrossEntropyLoss" loss_param {{ ignore_label: -1 {} }}'
    for options, divisor in (("", 2), ("normalization: VALID", 3), ("normalization: FULL", 4),
                             ("normalization: NONE", 1), ("normalize: true", 3)):
        loss = run(text.format(options), scores, targets)
        assert loss == pytest.approx(sum(terms) / divisor), options
    got = gradient(text.format(""), 1, scores, targets)
    np.testing.assert_allclose(got, np.array([[-0.25, 0.75], [0.25, 0]]) / 2, rtol=1e-5)


def test_euclidean_loss_reaches_both_bottoms():
    a, b = [[1., 2.], [3., 4.]], [[0., 0.], [3., 2.]]
    assert run('type: "EuclideanLoss"', a, b) == pytest.approx((1 + 4 + 0 + 4) / 2 / 2)
    assert gradient('type: "EuclideanLoss"', 3, a, b).tolist() == [[1.5, 3], [0, 3]]
    assert gradient('type: "EuclideanLoss"', 3, a, b, of=1).tolist() == [[-1.5, -3], [0, -3]]


def test_smooth_l1_loss():
    # sigma 2: |d| < 1/4 is 2 d^2, else |d| - 1/8; inside 1, 2; outside 1, 3; two rows
    a, zero = [[0.2, 1.0], [0.0, -0.1]], [[0., 0.], [0., 0.]]
    text = 'type: "SmoothL1Loss" smooth_l1_loss_param { sigma: 2 }'
    assert run(text, a, zero) == pytest.approx((0.08 + 0.875 + 0 + 0.02) / 2)
    inside, outside = [[1, 2], [1, 2]], [[1, 3], [1, 3]]
    expected = (0.08 + 3 * (2 - 0.125) + 0 + 3 * 2 * 0.2 ** 2) / 2
    assert run(text, a, zero, inside, outside) == pytest.approx(expected)
    assert run(text, a, zero, inside) == pytest.approx((0.08 + 2 - 0.125 + 0 + 2 * 0.2 ** 2) / 2)
    module = build(text, (2, 2), (2, 2))
    assert not module.is_loss and module.auto_top  # no loss weight of its own


def test_smooth_l1_loss_of_three_bottoms_is_the_first_fast_rcnn():
    # bbox_loss_weights 0 or 1: a row of background and one of class 1; |d| < 1 is d^2 / 2
    pred, target = [[5., 5., 5., 5.], [9., 9., 0.5, -3.]], [[1., 1., 1., 1.], [0., 0., 0., 0.]]
    weights = [[0., 0., 0., 0.], [0., 0., 1., 1.]]
    text = 'type: "SmoothL1Loss"'
    assert run(text, pred, target, weights) == pytest.approx((0.125 + 2.5) / 2)
    slopes = gradient(text, 4, pred, target, weights)
    assert slopes.tolist() == [[0, 0, 0, 0], [0, 0, 4 * 0.5 / 2, -4 / 2]]
    assert gradient(text, 4, pred, target, weights, of=1).tolist() == (-slopes).tolist()


def test_smooth_l1_loss_of_three_bottoms_has_outside_weights_of_one():
    rng = np.random.default_rng(0)
    pred, target, inside = (rng.standard_normal((3, 4)) for _ in range(3))
    text, ones = 'type: "SmoothL1Loss" smooth_l1_loss_param { sigma: 2 }', np.ones((3, 4))
    assert run(text, pred, target, inside) == run(text, pred, target, inside, ones)
    for of in (0, 1):
        np.testing.assert_array_equal(gradient(text, 3, pred, target, inside, of=of),
                                      gradient(text, 3, pred, target, inside, ones, of=of))


def test_hinge_loss():
    # label's score negated: 1 - 2, 1 + 0.5 | 1 - 0.5, 1 - 3 -> 1.5, 0.5
    scores, labels = [[2., 0.5], [-3., 0.5]], [0, 1]
    assert run('type: "HingeLoss"', scores, labels) == pytest.approx((1.5 + 0.5) / 2)
    square = 'type: "HingeLoss" hinge_loss_param { norm: L2 }'
    assert run(square, scores, labels) == pytest.approx((2.25 + 0.25) / 2)
    assert gradient(square, 1, scores, labels).tolist() == [[0, 1.5], [0, -0.5]]


def test_contrastive_loss():
    # distances 5 and 5: similar costs 25; else (6 - 5)^2 = 1, legacy max(30 - 25, 0) = 5
    a, b = [[3., 4.], [3., 4.]], [[0., 0.], [0., 0.]]
    text = 'type: "ContrastiveLoss" contrastive_loss_param {{ margin: {} }}'
    assert run(text.format(6), a, b, [1, 0]) == pytest.approx((25 + 1) / 4)
    legacy = text.format("30 legacy_version: true")
    assert run(legacy, a, b, [1, 0]) == pytest.approx((25 + 5) / 4)
    got = gradient(text.format(6), 2, a, b, [1, 0], of=1)
    push = 1 / (5 + 1e-4)  # (margin - d) / (d + 1e-4)
    np.testing.assert_allclose(got, [[-3, -4], [3 * push, 4 * push]], rtol=1e-6)
    assert gradient(legacy, 2, a, b, [0, 0]).tolist() == [[-3, -4], [-3, -4]]
    assert gradient(text.format(4), 2, a, b, [0, 0]).tolist() == [[0, 0], [0, 0]]


MATRIX = [[1.0, 0.5], [0.0, 2.0]]


def test_infogain_loss(tmp_path):
    # label 0: log 4 + 0.5 log 4/3; label 1: 2 log 4/3
    scores = [[0, LOG3], [0, LOG3]]
    expected = (math.log(4) + 0.5 * math.log(4 / 3) + 2 * math.log(4 / 3)) / 2
    assert run('type: "InfogainLoss"', scores, [0, 1], MATRIX) == pytest.approx(expected)
    path = tmp_path / "H.binaryproto"
    weights.write_binaryproto(str(path), np.reshape(MATRIX, (1, 1, 2, 2)).astype(np.float32))
    text = f'type: "InfogainLoss" infogain_loss_param {{ source: "{path}" }}'
    assert run(text, scores, [0, 1]) == pytest.approx(expected)
    with pytest.raises(LayerError, match="no_such_file"):
        build('type: "InfogainLoss" infogain_loss_param { source: "no_such_file" }', (2, 2), (2,))
    with pytest.raises(LayerError, match="2 x 2 values, got 9"):
        run('type: "InfogainLoss"', scores, [0, 1], np.ones((3, 3)))


def test_multinomial_logistic_loss():
    text = 'type: "MultinomialLogisticLoss"'
    p = [[0.25, 0.75], [0.5, 0.0]]
    expected = (math.log(4) - math.log(1e-20)) / 2
    assert run(text, p, [0, 1]) == pytest.approx(expected)
    np.testing.assert_allclose(gradient(text, 1, p, [0, 1]), [[-2, 0], [0, -0.5e20]], rtol=1e-6)


def test_accuracy_counts_ties_against_the_label():
    # ranks of the label: best; tied for best; third
    scores, labels = [[3, 1, 2], [2, 2, 1], [3, 2, 1]], [0, 1, 2]
    text = 'type: "Accuracy" accuracy_param {{ {} }}'
    assert run(text.format(""), scores, labels) == pytest.approx(1 / 3)
    assert run(text.format("top_k: 2"), scores, labels) == pytest.approx(2 / 3)
    share, classes = run(text.format("top_k: 2 ignore_label: 2"), scores, labels, tops=2)
    assert share == 1 and classes.tolist() == [1, 1, 0]
    assert run(text.format("ignore_label: 1"), scores, [1, 1, 1]) == 0


def test_accuracy_per_class_and_axis():
    scores = [[[2, 0], [1, 3]], [[0, 2], [1, 1]]]  # (N, places, classes): predicts 0 1 | 1 none
    share, classes = run('type: "Accuracy" accuracy_param { axis: 2 }', scores, [[0, 1], [0, 0]],
                         tops=2)
    assert share == pytest.approx(2 / 4)
    np.testing.assert_allclose(classes, [1 / 3, 1], rtol=1e-6)


def argmax(options):
    return f'type: "ArgMax" argmax_param {{ {options} }}'


def test_argmax_gives_the_last_of_equal_values_first():
    x = [[1, 5, 5, 0], [7, 2, 9, 9]]
    assert run(argmax("top_k: 3"), x).tolist() == [[[2, 1, 0]], [[3, 2, 0]]]
    top = run(argmax("out_max_val: true top_k: 2"), x)
    assert top.tolist() == [[[2, 1], [5, 5]], [[3, 2], [9, 9]]]
    assert run(argmax("axis: 0"), x).tolist() == [[1, 0, 1, 1]]
    assert run(argmax("axis: 1 out_max_val: true"), x).tolist() == [[5], [9]]
    assert run(argmax(""), np.zeros((2, 1, 1, 1, 3))).shape == (2, 1, 1, 1, 1)


@pytest.mark.parametrize("text, shapes, message", [
    ('type: "SoftmaxWithLoss"', [(4, 3), (5,)], "first axis"),
    ('type: "SoftmaxWithLoss"', [(4, 3, 2), (4,)], "8 labels"),
    ('type: "SigmoidCrossEntropyLoss"', [(4, 3), (4, 2)], "number of values"),
    ('type: "EuclideanLoss"', [(4, 3), (4, 2)], "number of values"),
    ('type: "SmoothL1Loss"', [(2, 4), (2, 4), (2, 3)], "number of values"),
    ('type: "SmoothL1Loss"', [(2, 4), (2, 4), (2, 4), (2, 3)], "number of values"),
    ('type: "HingeLoss"', [(4, 3), (4, 2)], "one label"),
    ('type: "MultinomialLogisticLoss"', [(4, 3), (4, 2)], "one label"),
    ('type: "ContrastiveLoss"', [(4, 3, 2, 1)] * 2 + [(4,)], "height and width 1"),
    ('type: "ContrastiveLoss"', [(4, 3), (4, 3), (4, 2)], "one value per pair"),
    ('type: "InfogainLoss"', [(4, 3), (4,)], "source"),
    ('type: "Accuracy" accuracy_param { top_k: 4 }', [(4, 3), (4,)], "at most the 3 classes"),
    ('type: "Accuracy"', [(4, 3, 2), (4,)], "8 labels"),
    (argmax("top_k: 4 axis: 1"), [(4, 3)], "at most 3"), (argmax("top_k: 0"), [(4, 3)], "> 0"),
])
def test_refused(text, shapes, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        build(text, *shapes).top_shapes(shapes)


@pytest.mark.parametrize("text, label", [
    ('type: "SoftmaxWithLoss"', -1), ('type: "SoftmaxWithLoss"', 2), ('type: "HingeLoss"', -1),
    ('type: "HingeLoss"', 2), ('type: "Accuracy"', -1)])
def test_labels_outside_the_classes_are_refused(text, label):
    with pytest.raises(LayerError, match=f"label in 0 .. 1, got {label}"):
        run(text, torch.zeros(2, 2), [0, label])


def test_a_label_beyond_the_classes_is_never_right(caplog):
    """SegNet's published nets have such a label for pixels without a class."""
    scores, labels = [[1, 0], [0, 1], [1, 0]], [0, 2, 1]
    module = build('type: "Accuracy"', (3, 2), (3,), tops=2)
    for _ in range(2):
        share, classes = module(torch.tensor(scores), torch.tensor(labels))
        assert share.item() == pytest.approx(1 / 3) and classes.tolist() == [1, 0]
    message, = (record.getMessage() for record in caplog.records)
    assert "a label is 2, and there are 2 classes; it counts as wrong" in message
    ignored = 'type: "Accuracy" accuracy_param { ignore_label: 2 }'
    assert run(ignored, scores, labels) == pytest.approx(1 / 2)
