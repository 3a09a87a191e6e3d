"""What has one meaning is read, whatever its form; anything else is named, and nothing vanishes."""
import json
import logging
import os
import resource

import pytest
from coco_folder import annotation, write_coco, write_coco_card
from voc_folder import annotation_xml, object_xml, write_card, write_set, write_text

from faster_rcnn.annotations import voc_xml
from faster_rcnn.annotations.coco_json import read_coco
from faster_rcnn.annotations.values import truth, whole_number
from faster_rcnn.annotations.voc_xml import AnnotationError, read_annotation
from faster_rcnn.datasets.cards import CardError
from faster_rcnn.datasets.factory import get_imdb

BOX = (11, 11, 30, 30)


@pytest.mark.parametrize("values, expected", [
    (("1", "1.0", "2", "0.35", "true", "TRUE", "Yes", " y ", True, 1, 0.5, "on"), True),
    (("0", "0.0", "-0", "false", "FALSE", "no", "N", "None", "null", "", None, 0, 0.0), False),
    (("Unspecified", "unknown", "maybe", "nan", "1_0", float("nan"), [], {}, "01x"), None)])
def test_truth(values, expected):
    assert [truth(value) for value in values] == [expected] * len(values)


@pytest.mark.parametrize("values, expected", [
    ((7, 7.0, "7", " 007 "), 7), ((-3, "-3", -3.0), -3),
    ((7.5, "7.5", "7a", "", True, None, [7], float("inf"), float("nan"), "٧", "1" * 30), None)])
def test_whole_numbers(values, expected):
    assert [whole_number(value) for value in values] == [expected] * len(values)


def test_difficult_as_people_write_it(tmp_path, caplog):
    words = {"a": "0.0", "b": "FALSE", "c": "no", "d": "None", "e": "Unspecified", "f": "unknown",
             "g": "1.0", "h": "yes"}
    root = write_set(tmp_path / "set", {name: object_xml("cat", BOX, word)
                                        for name, word in words.items()})
    imdb = get_imdb(write_card(tmp_path, root) + ":trainval")
    checked = imdb.checked_annotations()
    assert {name: found[0].difficult for name, found in checked.items()} == {
        name: name in "gh" for name in words}
    named = [problem for problem in imdb.problems if "difficult" in problem.rule]
    assert [(os.path.basename(p.path), p.subject, p.action) for p in named] == [
        ("e.xml", "object 1 (cat)", "taken as no"), ("f.xml", "object 1 (cat)", "taken as no")]
    assert 'has difficult "unknown", which is neither yes nor no' in caplog.text
    strict = write_card(tmp_path, root, name="strict", on_bad_box="error")
    with pytest.raises(AnnotationError, match=r'e\.xml: object 1 \(cat\) has difficult "Unspec'):
        get_imdb(strict + ":trainval").gt_roidb()


@pytest.mark.parametrize("text", [
    annotation_xml([("cat", BOX)]).replace("<annotation>", '<annotation xmlns="http://x.org/voc">'),
    annotation_xml([("cat", BOX)]).replace("object>", "Object>").replace("xmin>", "XMin>"),
    annotation_xml([("cat", BOX)]).replace("annotation>", "Annotation>")])
def test_a_namespace_and_capitals_have_one_meaning(tmp_path, text):
    found, = read_annotation(write_text(tmp_path, "a.xml", text)).objects
    assert (found.name, found.box) == ("cat", BOX)


CVAT = ('<annotations><image id="0" name="a.jpg" width="100" height="80"><box label="cat" '
        'xtl="1" ytl="1" xbr="9" ybr="9"/></image></annotations>')


@pytest.mark.parametrize("text, words", [
    (CVAT, "XML of another form: <annotations> where VOC has <annotation>"),
    (CVAT.replace("annotations", "annotation"), "no <object> in <annotation>, but <image>"),
    ("<html><body>404</body></html>", "XML of another form: <html>"),
    ("<annotation><filename>a</filename><objects><object><name>cat</name></object></objects>"
     "</annotation>", "no <object> in <annotation>, but <objects>"),
    ("<annotation>" + "<a>" * 200 + "</a>" * 200 + "</annotation>", "nested more than 100 deep")])
def test_xml_of_another_form_is_not_an_image_without_objects(tmp_path, text, words):
    path = write_text(tmp_path, "a.xml", text)
    with pytest.raises(AnnotationError, match=words):
        read_annotation(path)
    root = write_set(tmp_path / "set", {"a": [("cat", BOX)], "b": [("cat", BOX)]})
    write_text(root, "Annotations/a.xml", text)
    imdb = get_imdb(write_card(tmp_path, root) + ":trainval")
    assert imdb.checked_annotations()["a"] is None
    assert [p.path.endswith("a.xml") and p.action for p in imdb.problems] == ["image left out"]


@pytest.mark.parametrize("text", [
    "<annotation/>", "<annotation><filename>a</filename><weather>rain</weather></annotation>",
    "<annotation><source><database>x</database></source></annotation>"])
def test_an_image_without_objects(tmp_path, text):
    assert read_annotation(write_text(tmp_path, "a.xml", text)).objects == ()


def test_too_many_objects_are_refused_before_memory_is_used(tmp_path):
    path = write_text(tmp_path, "a.xml", annotation_xml(object_xml("cat", BOX) * 100_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AnnotationError, match="more than 10000 objects in an image"):
        read_annotation(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000    # KB
    most = write_text(tmp_path, "b.xml", annotation_xml(object_xml("cat", BOX) * 10_000))
    assert len(read_annotation(most).objects) == voc_xml.MAX_OBJECTS


def test_annotation_files_that_are_none_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")
    os.mkdir(tmp_path / "folder.xml")
    os.symlink("gone", tmp_path / "link.xml")
    for name, words in (("pipe", "is not a file but a pipe"), ("folder", "is a folder"),
                        ("link", "is a link to gone")):
        for read in (read_annotation, read_coco):
            with pytest.raises(AnnotationError, match=rf"{name}\.xml: {words}"):
                read(str(tmp_path / f"{name}.xml"))


# ------------------------------------------------------------------------------------------- COCO


def coco_objects(tmp_path, change):
    """The objects of image 1 after a change of the file's content."""
    root = write_coco(tmp_path / "set", [annotation(11, 1, 7, [10, 12, 40, 30])])
    path = os.path.join(root, "annotations", "instances_train.json")
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    change(content)
    write_text(root, "annotations/instances_train.json", json.dumps(content))
    return read_coco(path)


@pytest.mark.parametrize("form", [float, str, "{:06d}".format])
def test_ids_that_mean_whole_numbers(tmp_path, form):
    def change(content):
        for entry in content["images"] + content["categories"] + content["annotations"]:
            for key in {"id", "image_id", "category_id", "width", "height"} & set(entry):
                entry[key] = form(entry[key])
    file = coco_objects(tmp_path, change)
    assert file.categories == {7: "dog", 3: "Cat"} and list(file.images) == [1, 2]
    found, = file.objects[1]
    assert (found.name, found.box, found.area) == ("dog", (10, 12, 40, 30), 1200)
    assert file.images[1].size == (100, 80) and not file.problems


def test_other_ids_are_named(tmp_path):
    def change(content):
        content["images"][0]["id"] = "first"
        content["annotations"].append(annotation(12, 2.5, 7, [1, 1, 5, 5]))
    file = coco_objects(tmp_path, change)
    lines = [str(problem) for problem in file.problems]
    assert "entry 1 of images has no id (whole number)" in lines[0] and "'first'" in lines[0]
    assert "annotation 11 is of image 1, which is not listed; skipped" in lines[1]
    assert "annotation 12 is of image 2.5, which is not listed (no whole number)" in lines[2]


@pytest.mark.parametrize("value, crowd, doubt", [
    ("0", False, ""), ("1", True, ""), (0.0, False, ""), (True, True, ""), (None, False, ""),
    ("false", False, ""), ("some", False, "has iscrowd 'some', neither yes nor no"),
    ([0], False, "has iscrowd [0], neither yes nor no")])
def test_crowds(tmp_path, value, crowd, doubt):
    file = coco_objects(tmp_path, lambda content: content["annotations"][0].update(iscrowd=value))
    found, = file.objects[1]
    assert (found.crowd, found.doubt) == (crowd, doubt)


def test_numbers_without_end_are_no_box(tmp_path):
    file = coco_objects(tmp_path, lambda content: content["annotations"][0].update(
        bbox=[10 ** 400, 0, 5, 5], area=10 ** 400))
    found, = file.objects[1]
    assert found.box is None and found.area is None
    assert "is not four numbers" in found.problem and len(found.problem) < 200


def test_too_many_objects_of_an_image(tmp_path):
    def change(content):
        content["annotations"] *= 10_001
    coco_objects(tmp_path, change)
    imdb = get_imdb(write_coco_card(tmp_path, tmp_path / "set") + ":train")
    assert imdb.checked_annotations()[1] is None
    assert any("im1.jpg has 10001 objects, more than the limit of 10000" in problem.rule
               for problem in imdb.problems)


# ------------------------------------------------------------------------------------------- lists


LINES = {"extension": "a.jpg\nb.jpg\n", "column": "a  1\nb -1\n", "folder": "JPEGImages/a.jpg\nb",
         "old Mac": "a\rb\r", "absolute": "/elsewhere/JPEGImages/a.jpg\r\nb\r\n",
         "windows": "data\\JPEGImages\\a.jpg\nb"}


@pytest.mark.parametrize("text", LINES.values(), ids=list(LINES))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_image_lists_as_people_write_them(tmp_path, text, encoding):
    root = write_set(tmp_path / "set", {"a": [("cat", BOX)], "b": []})
    with open(os.path.join(root, "ImageSets", "Main", "trainval.txt"), "wb") as file:
        file.write(text.encode(encoding))
    imdb = get_imdb(write_card(tmp_path, root) + ":trainval")
    assert imdb.image_index == ["a", "b"] and len(imdb.gt_roidb()[0]["boxes"]) == 1


def test_names_that_look_like_columns_stay(tmp_path):
    root = write_set(tmp_path / "set", {"a 1": [("cat", BOX)], "b.jpg": []})
    imdb = get_imdb(write_card(tmp_path, root) + ":trainval")
    assert imdb.image_index == ["a 1", "b.jpg"]


def test_a_list_that_cannot_be_decoded_is_named(tmp_path):
    root = write_set(tmp_path / "set", {"a": []})
    path = os.path.join(root, "ImageSets", "Main", "trainval.txt")
    with open(path, "wb") as file:
        file.write("a\ncafé\n".encode("latin-1"))
    with pytest.raises(CardError, match=r"trainval\.txt:2: not text in UTF-8 \(byte 0xe9\)"):
        get_imdb(write_card(tmp_path, root) + ":trainval")


# --------------------------------------------------------------------------------- nothing is left


def test_what_became_of_all_boxes(tmp_path, caplog):
    root = write_set(tmp_path / "set", {
        "a": [("cat", BOX, 1), ("cat", BOX, 1), ("bird", BOX)], "b": [("cat", (9, 9, 5, 5))]})
    card = write_card(tmp_path, root, on_unknown_class="skip")
    with caplog.at_level(logging.WARNING):
        get_imdb(card + ":trainval").gt_roidb()
    assert ("tiny_trainval: no box is left to train on: 2 objects are difficult, 0 crowds, 1 of "
            "unknown classes, 1 with unusable boxes") in caplog.text


def test_what_became_of_all_boxes_of_coco(tmp_path, caplog):
    root = write_coco(tmp_path / "set", [annotation(1, 1, 7, [1, 1, 5, 5], iscrowd=1),
                                         annotation(2, 1, 3, [1, 1, 5, 5])])
    card = write_coco_card(tmp_path, root, classes="[dog]", on_unknown_class="skip")
    get_imdb(card + ":train").gt_roidb()
    assert "0 objects are difficult, 1 crowds, 1 of unknown classes, 0 with" in caplog.text
