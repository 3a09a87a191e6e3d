"""Pictures of a training: when they are written, what they show, and that they change nothing."""
import os

import cv2
import numpy as np
import pytest
from small_training import seed

from faster_rcnn.minibatches.step_pictures import as_image, panels
from faster_rcnn.settings.config import cfg_override
from faster_rcnn.training.solver_wrapper import SolverWrapper
from faster_rcnn.training.train_net import train_net


@pytest.mark.parametrize("kind", ["rpn", "fast_rcnn"])
def test_a_picture_every_so_many_iterations(make, settings, roidb, tmp_path, kind):
    with settings(kind, PICTURE_ITERS=2):
        train_net(make(kind), roidb, str(tmp_path / "out"), max_iters=5)
    folder = tmp_path / "out" / "tiny_pictures"
    assert sorted(os.listdir(folder)) == ["iter_000002.jpg", "iter_000004.jpg"]
    assert cv2.imread(str(folder / "iter_000004.jpg")) is not None


def trained_weights(make, settings, roidb, folder, every):
    with settings("rpn", PICTURE_ITERS=every):
        seed()
        wrapper = SolverWrapper(make("rpn"), roidb, str(folder))
        wrapper.train_model(4)
        return wrapper.solver.net.params["score"][0].data.copy()


def test_pictures_do_not_change_the_training(make, settings, roidb, tmp_path):
    with_pictures = trained_weights(make, settings, roidb, tmp_path / "a", 1)
    without = trained_weights(make, settings, roidb, tmp_path / "b", 0)
    np.testing.assert_array_equal(with_pictures, without)
    assert not (tmp_path / "b" / "tiny_pictures").exists()


def test_what_an_rpn_shows(make, settings, roidb, tmp_path):
    with settings("rpn"):
        wrapper = SolverWrapper(make("rpn"), roidb, str(tmp_path))
        wrapper.solver.step(1)
        annotated, anchors, proposals = panels(wrapper.solver.net)
        blobs = wrapper.solver.net.blobs
        labels = blobs["labels"].data
    assert annotated.words == "2 annotated objects" and sorted(annotated.labels) == ["class 1",
                                                                                     "class 2"]
    np.testing.assert_array_equal(annotated.boxes, blobs["gt_boxes"].data[:, :4])
    positive, trained = (labels == 1).sum(), (labels >= 0).sum()
    assert anchors.words == f"{positive} positive anchors of {trained} trained"
    assert len(anchors.boxes) == positive > 0
    # the blob of labels is (1, 1, A * H, W): cell (y, x) of anchor a is in row a * H + y
    height = blobs["score"].data.shape[2]
    rows, columns = np.where(labels[0, 0] == 1)
    centres = sorted(zip(columns * 4 + 7.5, rows % height * 4 + 7.5))
    found = sorted(zip(anchors.boxes[:, [0, 2]].mean(axis=1),
                       anchors.boxes[:, [1, 3]].mean(axis=1)))
    np.testing.assert_allclose(found, centres)
    assert 0 < len(proposals.boxes) <= 20 and "proposals" in proposals.words
    assert (proposals.boxes >= 0).all() and (proposals.boxes[:, 2] < 80).all()


def test_what_a_fast_rcnn_shows(make, settings, roidb, tmp_path):
    with settings("fast_rcnn"):
        wrapper = SolverWrapper(make("fast_rcnn"), roidb, str(tmp_path))
        wrapper.solver.step(1)
        foreground, background = panels(wrapper.solver.net)
        blobs = wrapper.solver.net.blobs
        first = blobs["rois"].data[:, 0] == 0
        labels = blobs["labels"].data.reshape(-1)
    assert foreground.words == f"{(first & (labels > 0)).sum()} foreground rois"
    assert background.words == f"{(first & (labels == 0)).sum()} background rois"
    np.testing.assert_array_equal(background.boxes, blobs["rois"].data[first & (labels == 0), 1:])


def test_the_input_of_a_net_becomes_its_image():
    with cfg_override(PIXEL_MEANS=np.array([[[10.0, 20.0, 30.0]]])):
        data = np.zeros((3, 4, 5), np.float32)
        data[0, 1, 2], data[1, 1, 2] = 300, -100
        image = as_image(data)
    assert image.shape == (4, 5, 3) and image[0, 0].tolist() == [10, 20, 30]
    assert image[1, 2].tolist() == [255, 0, 30]
