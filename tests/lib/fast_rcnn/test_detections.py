"""fast_rcnn.detections: threshold, suppression per class, and the limit per image."""
import numpy as np

from fast_rcnn.detections import select_detections

SCORES = np.array([[0.1, 0.8, 0.1],
                   [0.1, 0.7, 0.2],
                   [0.0, 0.1, 0.9]], np.float32)
BOX = [[0, 0, 9, 9], [1, 0, 10, 9], [50, 50, 59, 59]]
BOXES = np.tile(np.array(BOX, np.float32), (1, 3))          # the same for every class
OPTIONS = dict(thresh=0.1, nms_thresh=0.5, max_per_image=100)


def select(**options):
    return [dets.tolist() for dets in select_detections(SCORES, BOXES, **{**OPTIONS, **options})]


def rows(*pairs):
    return [[*map(float, BOX[roi]), float(np.float32(score))] for roi, score in pairs]


def test_threshold_is_strict_and_classes_do_not_suppress_each_other():
    assert select() == [[], rows((0, 0.8)), rows((2, 0.9), (1, 0.2))]


def test_no_suppression_above_the_overlap():
    assert select(nms_thresh=0.9) == [[], rows((0, 0.8), (1, 0.7)), rows((2, 0.9), (1, 0.2))]


def test_limit_per_image_counts_all_classes():
    assert select(max_per_image=2) == [[], rows((0, 0.8)), rows((2, 0.9))]
    assert select(max_per_image=1) == [[], [], rows((2, 0.9))]
    assert select(max_per_image=0) == select()


def test_those_that_equal_the_last_one_stay():
    scores = np.array([[0, 0.5, 0.5]], np.float32)
    dets = select_detections(scores, np.zeros((1, 12), np.float32), 0.1, 0.5, 1)
    assert [len(d) for d in dets] == [0, 1, 1]


def test_nothing_found():
    dets = select_detections(SCORES, BOXES, 0.95, 0.5, 100)
    assert [d.shape for d in dets] == [(0, 5)] * 3 and dets[1].dtype == np.float32
    none = select_detections(SCORES[:0], BOXES[:0], 0.1, 0.5, 9)
    assert [d.shape for d in none] == [(0, 5)] * 3
