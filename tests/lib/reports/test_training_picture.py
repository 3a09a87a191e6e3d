"""The picture of a training's iteration: panels side by side, boxes where they are."""
import numpy as np

from faster_rcnn.reports.training_picture import GOOD, POOR, Panel, training_picture

IMAGE = np.full((360, 460, 3), 100, np.uint8)       # not enlarged, and as large as a panel
BOX = np.array([[100.0, 100, 200, 200]])


def test_panels_stand_side_by_side():
    sheet = training_picture(IMAGE, [Panel("one", BOX, ["class 1"]), Panel("two", BOX),
                                     Panel("none", np.zeros((0, 4)))])
    assert sheet.shape[1] == 3 * 466 + 6
    alone = training_picture(IMAGE, [])
    assert alone.shape[:2] == (420, 537) and (alone == 100).all()


def test_boxes_are_drawn_in_the_colour_of_what_they_are():
    boxes = np.array([[100.0, 100, 200, 200], [300, 50, 400, 300]])
    large = np.full((500, 700, 3), 100, np.uint8)
    sheet = training_picture(large, [Panel("two", boxes, good=np.array([True, False]))])
    colours = sheet.reshape(-1, 3).astype(int)
    for colour in (GOOD, POOR):
        assert (np.abs(colours - colour).max(axis=1) < 60).any()
    none = training_picture(large, [Panel("two", boxes[:0])]).reshape(-1, 3).astype(int)
    assert not (np.abs(none - GOOD).max(axis=1) < 60).any()
