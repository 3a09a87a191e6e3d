"""Bad annotations are named once each, and clamped, skipped or refused."""
import logging
import os

import pytest
from PIL import Image
from voc_folder import annotation_xml, object_xml, write_card, write_set

from faster_rcnn.annotations.check import AnnotationChecker
from faster_rcnn.annotations.voc_xml import AnnotationError, VocAnnotation, VocObject
from faster_rcnn.datasets.cards import Card, load_card
from faster_rcnn.datasets.factory import get_imdb

GOOD = object_xml("cat", (11, 11, 30, 30))


def bad(inner, name="cat"):
    return annotation_xml(GOOD + f"<object><name>{name}</name>{inner}</object>")


def box(*corners):
    return annotation_xml(GOOD + object_xml("dog", corners))


# (annotation of an image of 100 x 80, words of its line in the log, usable boxes from 0)
FIRST = [10, 10, 29, 29]
BROKEN = {
    "left": (box(0, 5, 20, 20), "clamped to 1, 5, 20, 20", [FIRST, [0, 4, 19, 19]]),
    "top": (box(5, -3, 20, 20), "clamped to 5, 1, 20, 20", [FIRST, [4, 0, 19, 19]]),
    "right": (box(50, 5, 101, 20), "clamped to 50, 5, 100, 20", [FIRST, [49, 4, 99, 19]]),
    "bottom": (box(5, 5, 20, 400), "clamped to 5, 5, 20, 80", [FIRST, [4, 4, 19, 79]]),
    "all_round": (box(-9, -9, 999, 999), "clamped to 1, 1, 100, 80", [FIRST, [0, 0, 99, 79]]),
    "huge": (box(5, 5, 70000, 20), "clamped to 5, 5, 100, 20", [FIRST, [4, 4, 99, 19]]),
    "swapped_x": (box(30, 5, 20, 20), "corners are in the wrong order; skipped", [FIRST]),
    "swapped_y": (box(5, 30, 20, 20), "corners are in the wrong order; skipped", [FIRST]),
    "outside_right": (box(101, 5, 120, 20), "lies outside the image; skipped", [FIRST]),
    "outside_below": (box(5, 81, 20, 99), "lies outside the image; skipped", [FIRST]),
    "outside_left": (box(-20, 5, -3, 20), "lies outside the image; skipped", [FIRST]),
    "infinite": (box(5, 5, "inf", 20), "not finite; skipped", [FIRST]),
    "nan": (box("nan", 5, 20, 20), "not finite; skipped", [FIRST]),
    "no_number": (box("ten", 5, 20, 20), 'xmin "ten", which is not a number; skipped', [FIRST]),
    "empty_number": (box("", 5, 20, 20), "has no xmin; skipped", [FIRST]),
    "no_corner": (bad("<bndbox><xmin>3</xmin></bndbox>"), "has no ymin; skipped", [FIRST]),
    "no_box": (bad(""), "has no bndbox; skipped", [FIRST]),
    "no_name": (bad("", name=""), "has no class name; skipped", [FIRST]),
    "unknown": (bad("", name="doge"), '(did you mean "dog"?); skipped', [FIRST]),
    "wrong_size": (annotation_xml(GOOD, size=(80, 100)), "says that the image has 80 x 100 pixels",
                   [FIRST]),
    "no_xml": ("<annotation>", "not well-formed XML", []),
}


def load(tmp_path, annotations, **options):
    root = write_set(tmp_path / "set", annotations)
    options = {"on_unknown_class": "skip", **options}
    return get_imdb(write_card(tmp_path, root, **options) + ":trainval")


def test_every_broken_annotation_is_named_once(tmp_path, caplog):
    annotations = {name: text for name, (text, _, _) in BROKEN.items()}
    data_set = load(tmp_path, annotations)
    with caplog.at_level(logging.WARNING):
        roidb = data_set.gt_roidb()
        data_set.gt_roidb()
        load(tmp_path, annotations).gt_roidb()
    lines = [record.getMessage() for record in caplog.records]
    for name, (_, words, _) in BROKEN.items():
        naming = [line for line in lines if f"{os.sep}{name}.xml: " in line]
        assert len(naming) == 1 and words in naming[0], (name, naming)
        assert ("object 2 " in naming[0]) == (name not in ("wrong_size", "no_xml"))
    count = len(BROKEN)
    assert lines[-1] == f"tiny_trainval: {count} problems in {count} annotation files, see above"
    assert len(lines) == len(BROKEN) + 1
    for entry, (_, _, boxes) in zip(roidb, BROKEN.values()):
        assert entry["boxes"].tolist() == boxes
        assert entry["boxes"].dtype == "uint16"


def test_skip_drops_what_clamping_would_mend(tmp_path):
    annotations = {"skip_" + name: BROKEN[name][0] for name in ("left", "right", "huge")}
    for entry in load(tmp_path, annotations, on_bad_box="skip").gt_roidb():
        assert entry["boxes"].tolist() == [FIRST]


@pytest.mark.parametrize("name", ["left", "swapped_x", "nan", "no_box", "no_xml"])
def test_error_stops_at_the_first_bad_box(tmp_path, name):
    data_set = load(tmp_path, {name: BROKEN[name][0]}, on_bad_box="error")
    with pytest.raises(AnnotationError, match=rf"{name}\.xml: "):
        data_set.gt_roidb()


def test_class_missing_on_the_card_is_an_error_by_default(tmp_path):
    data_set = load(tmp_path, {"a": BROKEN["unknown"][0]}, on_unknown_class="error")
    with pytest.raises(AnnotationError, match=r'a\.xml: object 2 \(doge\) is of class "doge"'):
        data_set.gt_roidb()


@pytest.mark.parametrize("policy, spoilt", [("on_bad_annotation", "Annotations/b.xml"),
                                            ("on_bad_image", "JPEGImages/b.jpg")])
def test_what_files_that_cannot_be_read_do(tmp_path, caplog, policy, spoilt):
    root = write_set(tmp_path / "set", {"a": GOOD, "b": GOOD})
    with open(os.path.join(root, spoilt), "w") as file:
        file.write("<annotation>")
    data_set = get_imdb(write_card(tmp_path, root) + ":trainval")
    assert sum(len(entry["boxes"]) for entry in data_set.gt_roidb()) == 1
    assert caplog.text.count("b.") == 1 and "image left out" in caplog.text
    with pytest.raises(ValueError, match=os.path.basename(spoilt)):
        get_imdb(write_card(tmp_path, root, **{policy: "error"}) + ":trainval").gt_roidb()
    strict = load_card(write_card(tmp_path, root, on_bad_box="error"))
    assert (strict.on_bad_annotation, strict.on_bad_image) == ("error", "error")


def test_an_annotation_of_the_turned_image_is_left_out(tmp_path, caplog):
    root = write_set(tmp_path / "set", {"a": GOOD, "turned": annotation_xml(GOOD, (80, 100))})
    for name in ("a", "turned"):
        path = os.path.join(root, "JPEGImages", name + ".jpg")
        with Image.open(path) as im:
            exif = im.getexif()
            exif[0x0112] = 6
            im.save(path, exif=exif)
    with caplog.at_level(logging.INFO):
        first, second = get_imdb(write_card(tmp_path, root) + ":trainval").gt_roidb()
    assert len(first["boxes"]) == 1 and len(second["boxes"]) == 0
    assert "turned.xml: was made on the turned image" in caplog.text
    assert caplog.text.count("a.jpg") == 1 and "images to be shown turned" in caplog.text


def check_one(corners, size=None):
    thing = VocObject(1, "dog", corners, "", False, False, "")
    checker = AnnotationChecker({"dog": 1}, Card("set", (), ("dog",)))
    usable = checker.check(VocAnnotation("f", None, (thing,)), size)
    return [thing.box for thing in usable], checker.problems


def test_boxes_of_one_pixel_and_of_the_whole_image_are_good():
    for corners, wanted in (((5, 5, 5, 5), (4, 4, 4, 4)), ((1, 1, 9, 9), (0, 0, 8, 8))):
        assert check_one(corners, (9, 9)) == ([wanted], [])


def test_fractions_are_cut_off_as_in_the_original():
    assert check_one((45.7, 0.5, 60.99, 61.0), (99, 99)) == ([(44, 0, 59, 60)], [])


def test_without_a_size_only_negative_corners_are_clamped():
    boxes, problems = check_one((-5, 3, 100000, 4))
    assert boxes == [(0, 2, 99999, 3)] and len(problems) == 1
