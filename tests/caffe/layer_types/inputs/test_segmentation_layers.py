"""Layers of SegNet, ENet, DeepLab and PSPNet that train on labels of pixels."""
import math

import cv2
import data_files
import numpy as np
import pytest
import torch
from layer_harness import build, gradient, run

import caffe
from caffe.core.errors import DataError, LayerError
from caffe.layer_types.inputs.segmentation_data import read_pairs
from caffe.proto import caffe_pb2

TRAIN, TEST = caffe_pb2.TRAIN, caffe_pb2.TEST

# -- losses and measures

WEIGHTS = [0.2595, 4.564, 0.1417]
WEIGHTED = ("loss_param { weight_by_label_freqs: true ignore_label: 1 "
            + " ".join(f"class_weighting: {w}" for w in WEIGHTS) + " %s }")


def weighted_loss(scores, labels, divisor):
    """SegNet's softmax_loss_layer.cpp: -weight[label] log p[label], place by place."""
    total, grad = 0.0, np.zeros_like(scores)
    for n, y, x in np.ndindex(labels.shape):
        label = labels[n, y, x]
        if label == 1:
            continue
        p = np.exp(scores[n, :, y, x]) / np.exp(scores[n, :, y, x]).sum()
        total -= WEIGHTS[label] * math.log(p[label])
        p[label] -= 1
        grad[n, :, y, x] = p * WEIGHTS[label]
    return total / divisor, grad / divisor


@pytest.mark.parametrize("normalize", [True, False])
def test_class_weights_multiply_the_losses_but_not_the_divisor(normalize, rng):
    scores, labels = rng.normal(size=(2, 3, 3, 4)), rng.integers(3, size=(2, 3, 4))
    text = 'type: "SoftmaxWithLoss" ' + WEIGHTED % f"normalize: {str(normalize).lower()}"
    loss, grad = weighted_loss(scores, labels, (labels != 1).sum() if normalize else 2)
    assert run(text, scores, labels) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(gradient(text, 1, scores.tolist(), labels.tolist()), grad,
                               rtol=1e-4, atol=1e-7)


def test_weights_that_are_not_asked_for_have_no_effect(rng):
    scores, labels = rng.normal(size=(2, 3)), [0, 2]
    plain = 'type: "SoftmaxWithLoss" '
    unused = plain + "loss_param { weight_by_label_freqs: false class_weighting: 9 }"
    assert run(unused, scores, labels) == run(plain, scores, labels)


def test_a_weight_for_each_class():
    with pytest.raises(LayerError, match="class_weighting for each of the 4 classes, got 3"):
        build('type: "SoftmaxWithLoss" ' + WEIGHTED % "", (2, 4), (2,))


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_bayesian_segnet_drops_in_testing_too(phase):
    module = build('type: "Dropout" dropout_param { dropout_ratio: 0.75 '
                   "sample_weights_test: true }", (10000,), phase=phase)
    top = module(torch.ones(10000))
    assert set(top.tolist()) == {0, 4} and 2250 < (top > 0).sum() < 2750


def test_a_frozen_bn_has_a_variance_of_1():
    module = build('type: "BN" bn_param { frozen: true slope_filler { value: 1 } }', (1, 2, 3))
    assert [float(blob.detach().sum()) for blob in module.blobs] == [2, 0, 0, 2]


def test_segmentation_accuracy_by_hand():
    # right: 0 as 0 (2x), 1 as 1 (1x); wrong: 1 as 0 (1x), 2 as 1 (1x); 255 does not count
    labels = [[[[0, 0, 1], [1, 2, 255]]]]
    predicted = [[0, 0, 1], [0, 1, 2]]
    scores = np.moveaxis(np.eye(4)[predicted], -1, 0)[None]
    text = 'type: "SegAccuracy" seg_accuracy_param { ignore_label: 255 %s }'
    accuracy, recall, overlap = run(text % "", scores, labels).ravel()
    assert accuracy == pytest.approx(3 / 5)
    assert recall == pytest.approx((1 + 1 / 2 + 0) / 3)         # class 3 does not occur
    assert overlap == pytest.approx((2 / 3 + 1 / 3 + 0 + 1) / 4)    # and counts as found
    module = build(text % "reset: false", scores.shape, (1, 1, 2, 3))
    wrong = torch.tensor(np.flip(scores, 1).copy())
    assert module(torch.tensor(scores), torch.tensor(labels)).ravel()[0] == pytest.approx(3 / 5)
    assert module(wrong, torch.tensor(labels)).ravel()[0] == pytest.approx((3 + 1) / 10)


def test_of_equal_scores_the_last_class_is_predicted():
    top = run('type: "SegAccuracy"', np.zeros((1, 3, 1, 2)), [[[[2, 0]]]])
    assert top.ravel()[0] == 0.5


# -- data


@pytest.fixture
def pairs(tmp_path, rng):
    images = data_files.pictures(3, 6, 8)
    labels = [rng.integers(0, 5, (6, 8), dtype=np.uint8) for _ in images]
    return data_files.write_pairs(tmp_path, images, labels), images, labels


def source(kind, path, text="", transform="", phase=TEST, tops=2, field=None):
    field = field or {"DenseImageData": "dense_image_data_param",
                      "ImageSegData": "image_data_param"}[kind]
    caffe.set_random_seed(0)
    return build(f"type: '{kind}' {field} {{ source: '{path}' root_folder: '{path.parent}/' "
                 f"{text} }} transform_param {{ {transform} }}", tops=tops, phase=phase)


def arrays(module):
    return [top.numpy() for top in module()]


def test_dense_image_data_reads_images_and_their_labels(pairs):
    path, images, labels = pairs
    module = source("DenseImageData", path, "batch_size: 2", "mean_value: 10 scale: 0.5")
    assert module.top_shapes([]) == [(2, 3, 6, 8), (2, 1, 6, 8)]
    for batch in ((0, 1), (2, 0)):
        data, label = arrays(module)
        for i, number in enumerate(batch):
            np.testing.assert_array_equal(data[i], (images[number].transpose(2, 0, 1) - 10.0) / 2)
            np.testing.assert_array_equal(label[i, 0], labels[number])


def test_dense_image_data_crops_and_mirrors_both_alike(pairs):
    path, images, labels = pairs
    module = source("DenseImageData", path, "batch_size: 1 mirror: true crop_height: 4 "
                                            "crop_width: 5")
    seen = set()
    for number in range(60):
        data, label = arrays(module)
        assert data.shape == (1, 3, 4, 5) and label.shape == (1, 1, 4, 5)
        found = [(top, left, flip) for top in range(3) for left in range(4) for flip in (1, -1)
                 if np.array_equal(images[number % 3][top:top + 4, left:left + 5][:, ::flip],
                                   data[0].transpose(1, 2, 0))]
        (top, left, flip), = found
        seen.add(found[0])
        np.testing.assert_array_equal(labels[number % 3][top:top + 4, left:left + 5][:, ::flip],
                                      label[0, 0])
    assert len(seen) > 15       # of 24


def test_labels_take_the_nearest_pixel(pairs):
    path, images, labels = pairs
    module = source("DenseImageData", path, "batch_size: 1 new_height: 12 new_width: 16")
    data, label = arrays(module)
    np.testing.assert_array_equal(data[0].transpose(1, 2, 0), cv2.resize(images[0], (16, 12)))
    np.testing.assert_array_equal(label[0, 0], labels[0].repeat(2, 0).repeat(2, 1))


def test_labels_of_enet_are_smaller_than_the_images(pairs):
    path, images, labels = pairs
    text = "batch_size: 1 new_height: 12 new_width: 16 label_divide_factor: 4"
    module = source("DenseImageData", path, text)
    assert module.top_shapes([]) == [(1, 3, 12, 16), (1, 1, 3, 4)]
    data, label = arrays(module)
    assert data.shape == (1, 3, 12, 16)
    np.testing.assert_array_equal(label[0, 0], labels[0][::2, ::2])
    with pytest.raises(LayerError, match="label_divide_factor > 0, and 1 with a crop, got 2"):
        source("DenseImageData", path, "batch_size: 1 crop_height: 2 crop_width: 2 "
                                       "label_divide_factor: 2")


def test_image_seg_data_pads_with_the_mean_and_the_ignored_label(pairs):
    path, images, labels = pairs
    module = source("ImageSegData", path, "batch_size: 1 label_type: PIXEL ignore_label: 9",
                    "crop_size: 10 mean_value: 100 mean_value: 110 mean_value: 120", tops=3)
    data, label, size = arrays(module)
    wanted = np.zeros((3, 10, 10))
    wanted[:, :6, :8] = images[0].transpose(2, 0, 1) - np.reshape([100, 110, 120], (3, 1, 1))
    np.testing.assert_array_equal(data[0], wanted)
    assert (label[0, 0, 6:] == 9).all() and (label[0, 0, :, 8:] == 9).all()
    np.testing.assert_array_equal(label[0, 0, :6, :8], labels[0])
    assert size.tolist() == [[[[6, 8]]]]


def test_image_seg_data_scales_both(pairs):
    path, images, labels = pairs
    module = source("ImageSegData", path, "batch_size: 1 label_type: PIXEL",
                    "scale_factors: 1.5 mean_value: 0 crop_height: 9 crop_width: 12")
    data, label = arrays(module)
    np.testing.assert_array_equal(data[0].transpose(1, 2, 0), cv2.resize(images[0], (12, 9)))
    np.testing.assert_array_equal(
        label[0, 0], cv2.resize(labels[0], (12, 9), interpolation=cv2.INTER_NEAREST))


def test_the_crop_is_the_centre_in_testing_only(pairs):
    path, images, _ = pairs
    text, crop = "batch_size: 3 label_type: PIXEL", "crop_size: 4"
    data, _ = arrays(source("ImageSegData", path, text, crop))
    np.testing.assert_array_equal(data[1].transpose(1, 2, 0), images[1][1:5, 2:6])
    trained = arrays(source("ImageSegData", path, text, crop, phase=TRAIN))[0]
    assert not np.array_equal(trained, data)


def test_one_label_for_all_pixels_or_none(pairs):
    path, images, _ = pairs
    (path.parent / "list.txt").write_text("0.png 7\n1.png\n")
    with pytest.raises(LayerError, match='list.txt:2: expected "image labels", got one word'):
        source("ImageSegData", path, "batch_size: 1")
    (path.parent / "list.txt").write_text("0.png 7\n")
    assert (arrays(source("ImageSegData", path, "batch_size: 1"))[1] == 7).all()
    (path.parent / "list.txt").write_text("0.png\n")
    none = source("ImageSegData", path, "batch_size: 1 label_type: NONE")
    assert (arrays(none)[1] == 255).all()


@pytest.mark.parametrize("kind, text, transform, problem", [
    ("DenseImageData", "", "", "batch_size > 0"),
    ("DenseImageData", "batch_size: 1 new_width: 3", "", "new_height and new_width, or neither"),
    ("DenseImageData", "batch_size: 1 crop_width: 3", "", "crop_height and crop_width, or neither"),
    ("DenseImageData", "batch_size: 1", "mirror: true", "in dense_image_data_param, got mirror"),
    ("DenseImageData", "batch_size: 1 crop_height: 7 crop_width: 7", "", "crop of 7 x 7 pixels is "
                                                                         "larger than the image"),
    ("DenseImageData", "batch_size: 1", "mean_value: 1 mean_value: 2", "got 2"),
    ("ImageSegData", "batch_size: 1", "", 'label from 0 to 255, got "0_labels.png"'),
    ("ImageSegData", "", "crop_size: 3 crop_width: 3", "got a mixture"),
    ("ImageSegData", "", "mean_file: 'x'", "expected mean_value, got mean_file")])
def test_what_segmentation_data_refuse(pairs, kind, text, transform, problem):
    with pytest.raises(LayerError, match=problem):
        source(kind, pairs[0], text, transform)


def test_images_and_labels_of_two_sizes(pairs):
    path, images, labels = pairs
    cv2.imwrite(str(path.parent / "1_labels.png"), labels[1][:5])
    module = source("DenseImageData", path, "batch_size: 2")
    with pytest.raises(LayerError, match="list.txt:2: the image has 8 x 6 pixels, its labels 8 x"):
        module()


def test_lists_of_pairs(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\n a.png  b.png \n")
    assert read_pairs(str(path)) == [("a.png", "b.png", f"{path}:2")]
    path.write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        read_pairs(str(path))
