"""Galleries: which images and objects, where boxes lie, how large pictures are."""
import base64

import cv2
import numpy as np
import pytest
from judged import judged
from report_data import PicturesTested

from faster_rcnn.evaluation.judged_images import judged_images
from faster_rcnn.reports.html import galleries
from faster_rcnn.reports.html.choices import choices
from faster_rcnn.reports.html.galleries import View, around, jpeg_uri, pictures


@pytest.fixture
def imdb(tmp_path):
    return PicturesTested(tmp_path)


def by_name(imdb):
    images = judged_images(imdb.all_boxes, imdb.annotated_boxes())
    return {choice.name: [view.caption for view in choice.views]
            for choice in choices(imdb, images, ["a", "b", "c"], 0.5)}


def test_what_each_gallery_shows(imdb):
    assert by_name(imdb) == {
        "best": ["a: 2 of 2 found, 0 false"],
        "worst": ["c: 0 of 2 found, 1 false", "b: 1 of 1 found, 1 false"],
        "false": ["c: dog 0.95: wrong class (a cat)", "b: dog 0.60: wrong class (a cat)",
                  "b: cat 0.30: background"],
        "missed": ["c: dog, found at no score", "c: cat, found at no score"]}


def test_one_image_does_not_fill_a_gallery(imdb):
    image = judged([(1, (10 * i, 0, 10 * i + 5, 9), 0.9) for i in range(8)], [])
    found = {choice.name: choice for choice in choices(imdb, [image], ["a"], 0.5)}
    assert len(found["false"].views) == 2


def test_boxes_are_in_the_units_of_the_picture(imdb):
    image = judged([(1, (30, 25, 59, 49), 0.9), (2, (0, 0, 10, 10), 0.02)], [(1, (0, 0, 119, 99))])
    shown = pictures(imdb, [View(image, "whole")])[0]
    assert (shown.width, shown.height) == (360, 300)        # 120 x 100, three times
    objects, det = shown.boxes                              # the score of 0.02 is too low
    assert (objects.style, objects.label, objects.score) == ("object", "missed cat", -1)
    assert (objects.x, objects.y, objects.width, objects.height) == (0, 0, 360, 300)
    assert (det.style, det.label, det.kind) == ("false", "cat 0.90", "background")
    assert (det.x, det.y, det.width, det.height) == (90, 75, 90, 75)


def test_a_part_of_an_image_moves_its_boxes_and_leaves_out_those_outside(imdb):
    image = judged([(1, (60, 50, 79, 69), 0.9), (2, (0, 0, 10, 10), 0.8)], [(1, (60, 50, 79, 69))])
    shown = pictures(imdb, [View(image, "part", (40, 40, 119, 99), detection=0)])[0]
    assert (shown.width, shown.height) == (400, 300)        # 80 x 60, five times
    objects, det = shown.boxes
    assert (det.x, det.y, det.width, det.height) == (100, 50, 100, 100)
    assert det.focus and shown.has_focus and not objects.focus and objects.score > 0.89


def test_labels_stay_inside(imdb):
    image = judged([(1, (100, 0, 119, 20), 0.9), (2, (0, 90, 10, 99), 0.9)],
                   [(1, (0, 95, 119, 99))])
    for box in pictures(imdb, [View(image, "")])[0].boxes:
        assert 0 < box.text[0] <= 360 - 7 * len(box.label) and 10 <= box.text[1] <= 300


@pytest.mark.parametrize("box, size, part", [
    ((100, 100, 119, 119), (400, 400), (67, 78, 153, 141)),     # 64 high, 85 or so wide
    ((0, 0, 99, 99), (400, 400), (0, 0, 346, 259)),
    ((380, 380, 399, 399), (400, 400), (315, 336, 399, 399)),
    ((0, 0, 9, 9), (40, 30), (0, 0, 39, 29))])
def test_the_part_around_a_box_lies_in_the_image(box, size, part):
    x1, y1, x2, y2 = around(np.array(box, float), size)
    assert 0 <= x1 <= box[0] and 0 <= y1 <= box[1]
    assert box[2] <= x2 < size[0] and box[3] <= y2 < size[1]
    np.testing.assert_allclose((x1, y1, x2, y2), part, atol=2)


def test_a_picture_is_made_smaller_until_it_fits():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    for most_bytes in (400_000, 60_000):
        uri = jpeg_uri(noise, most_bytes)
        assert len(uri) <= most_bytes + 30
    data = base64.b64decode(uri.partition(",")[2])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[1] < 400
    smallest = base64.b64decode(jpeg_uri(noise, 10).partition(",")[2])
    assert cv2.imdecode(np.frombuffer(smallest, np.uint8), 1).shape[1] == galleries.SHORTEST


def test_all_pictures_together_have_a_bound(imdb):
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    cv2.imwrite(imdb.image_path_at(0), noise)
    image = judged([], [])
    shown = pictures(imdb, [View(image, "")] * 12, most_bytes=1_200_000)
    assert sum(len(one.source) for one in shown) <= 1_210_000
