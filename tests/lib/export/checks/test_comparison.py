"""Pairs of detections, and the table of agreement."""
import cv2
import numpy as np
import pytest

from faster_rcnn.export.checks import comparison
from faster_rcnn.export.checks.comparison import Agreement, compare, matched, table
from faster_rcnn.export.checks.runtimes import Detected, by_class, flat

ONE = [[0, 0, 9, 9, 0.9]]


@pytest.mark.parametrize("theirs, expected", [
    (ONE, (0, 0, 0)),
    ([[0.004, 0, 9, 9, 0.90003]], (0, 0.004, 0.00003)),
    ([[0.02, 0, 9, 9, 0.9]], (2, 0, 0)),        # too far: one of each side is left
    ([[0, 0, 9, 9, 0.91]], (2, 0, 0)),
    ([], (1, 0, 0)),
    (ONE * 2, (1, 0, 0)),                       # a partner counts once
])
def test_pairs(theirs, expected):
    found = matched(np.array(ONE), np.array(theirs).reshape(-1, 5))
    assert found == pytest.approx(expected, abs=1e-7)


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    ours = rng.uniform(0, 50, (20, 5))
    assert matched(ours, ours[rng.permutation(20)]) == (0, 0, 0)


def test_classes_and_back():
    detected = Detected(np.float32([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 1, 1]]),
                        np.float32([0.9, 0.8, 0.7]), np.array([2, 1, 2]))
    of_classes = by_class(detected, 3)
    assert [len(dets) for dets in of_classes] == [0, 1, 2]
    for there, back in zip(detected, flat(of_classes)):
        assert np.array_equal(there, back)


class Images:
    """A data set of two black pictures, whose evaluation counts detections."""

    num_images, num_classes = 2, 2

    def __init__(self, folder):
        self.folder = folder
        for i in range(2):
            cv2.imwrite(self.image_path_at(i), np.zeros((8, 9 + i, 3), np.uint8))

    def image_path_at(self, i):
        return str(self.folder / f"{i}.png")

    def evaluate_detections(self, all_boxes, folder):
        return {"mean_ap": sum(len(dets) for dets in all_boxes[1]) / 10}


def detect(im, shift=0.0):
    wide = im.shape[1] > 9
    count = 2 if wide else 1
    return Detected(np.float32([[shift, 0, 5, 5]] * count) + np.arange(count)[:, None] * 9,
                    np.float32([0.9, 0.8][:count]), np.ones(count, np.int64))


def test_programs_over_a_data_set(tmp_path):
    results = compare(detect, {"near": lambda im: detect(im, 0.001),
                               "far": lambda im: detect(im, 1.0)}, Images(tmp_path))
    net, near, far = results
    assert [r.detections for r in results] == [3, 3, 3]
    assert (net.unlike, near.unlike, far.unlike) == (0, 0, 6)
    assert near.box == pytest.approx(0.001) and net.mean_ap == near.mean_ap == 0.3
    assert "| far | 3 | 6 |" in table(results)


def test_some_of_the_images_have_no_mean(tmp_path):
    [result] = compare(detect, {}, Images(tmp_path), images=1)
    assert result.detections == 1 and np.isnan(result.mean_ap)


def test_no_annotations_no_mean(tmp_path, monkeypatch):
    images = Images(tmp_path)
    monkeypatch.setattr(images, "evaluate_detections", lambda *_: None)
    assert np.isnan(comparison.mean_ap([[[], []]], images))
    assert isinstance(Agreement("x").found, list)
