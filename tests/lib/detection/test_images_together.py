"""Tests that look at several images in one pass find what they find one by one."""
import cv2
import numpy as np
import pytest
from golden_pfr.detection import AnsweringNet
from listed_images import ListedImages
from small_detector import CLASSES, TEST, picture, small_net, write_weights

import caffe
import fast_rcnn.test as detection
from faster_rcnn.detection.passes import of_equal_shape, window_size, windows
from faster_rcnn.detection.proposals import imdb_proposals
from faster_rcnn.settings.config import ConfigValueError, cfg_override

pytestmark = pytest.mark.usefixtures("small_scale")

SIZES = [(30, 40), (40, 30), (30, 40), (30, 40), (40, 30)]      # height, width


@pytest.fixture
def database(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for i, size in enumerate(SIZES):
        paths.append(str(tmp_path / f"im{i}.png"))
        cv2.imwrite(paths[-1], rng.integers(0, 256, (*size, 3), np.uint8))
    return ListedImages(paths, classes=("__background__", "cell"))


def batches_of(net_run, size, database):
    """(what a function of a net and a database returns, how many images each pass had)."""
    sizes = []

    def answer(fed, call, blobs):
        """One roi per image, as wide as its mean value, twice that of the first image."""
        sizes.append(len(fed["data"]))
        means = fed["data"].reshape(len(fed["data"]), -1).mean(1)
        rois = np.zeros((len(means), 5), np.float32)
        rois[:, 0], rois[:, 3], rois[:, 4] = range(len(means)), 20 + means, 30
        blobs["rois"].data = rois
        return {"rois": rois, "scores": (means[:, None] / 256).astype(np.float32),
                "cls_prob": np.array([[0.1, 0.9]] * len(means), np.float32),
                "bbox_pred": np.zeros((len(means), 8), np.float32)}

    with cfg_override(TEST={"IMS_PER_BATCH": size}):
        return net_run(AnsweringNet(answer), database), sizes


@pytest.mark.parametrize("net_run", [detection.test_net, imdb_proposals])
def test_images_of_equal_size_share_passes_and_keep_their_places(database, net_run):
    alone, sizes_alone = batches_of(net_run, 1, database)
    together, sizes = batches_of(net_run, 2, database)
    assert sizes_alone == [1] * 5 and sizes == [2, 1, 2]
    for one, other in zip(alone, together):
        for of_image, of_same in zip(one, other):
            np.testing.assert_allclose(of_same, of_image, rtol=1e-6)


def test_a_net_finds_the_same_in_batches(tmp_path):
    paths = []
    for i, size in enumerate([(96, 128), (128, 96), (96, 128), (96, 128)]):
        paths.append(str(tmp_path / f"im{i}.png"))
        cv2.imwrite(paths[-1], picture(i, *size))
    pictures = ListedImages(paths, classes=("__background__", *CLASSES))
    write_weights(tmp_path / "small.caffemodel")
    net = caffe.Net(small_net(), caffe.TEST, weights=str(tmp_path / "small.caffemodel"))
    found = []
    for size in (1, 3):
        with cfg_override(TEST={**TEST, "HAS_RPN": True, "IMS_PER_BATCH": size}):
            found.append(detection.test_net(net, pictures))
    for of_class, same_class in zip(*found):
        for dets, same in zip(of_class, same_class):
            np.testing.assert_allclose(np.asarray(same), np.asarray(dets), atol=1e-3)
    assert sum(len(dets) for dets in found[0][1]) > 3


def test_an_error_names_the_images_of_its_pass(database):
    def fail(fed, call, blobs):
        raise ValueError("no rois")

    with cfg_override(TEST={"IMS_PER_BATCH": 2}), \
            pytest.raises(ValueError, match=r"im0\.png, .*im2\.png: no rois"):
        detection.test_net(AnsweringNet(fail), database)


def test_nets_that_are_given_their_rois_take_one_image_at_a_time(database):
    with cfg_override(TEST={"IMS_PER_BATCH": 2, "HAS_RPN": False}), \
            pytest.raises(ConfigValueError, match="IMS_PER_BATCH is 2; .* one image at a time"):
        detection.test_net(AnsweringNet(lambda *_: {}), database)


def test_parts_of_equal_shape():
    assert of_equal_shape([(1,), (2,), (1,), (1,), (2,)], 2) == [[0, 2], [3], [1, 4]]
    assert [list(window) for window in windows(range(10), window_size(2))] == [[*range(8)], [8, 9]]
    assert [list(window) for window in windows(range(2), window_size(1))] == [[0], [1]]
