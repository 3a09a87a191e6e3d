"""Readers of YOLO, LabelMe, CSV and CVAT: known boxes to a pixel, and what is wrong named once."""
import json

import pytest

from faster_rcnn.annotations.check import AnnotationChecker
from faster_rcnn.annotations.csv_tables import read_csv
from faster_rcnn.annotations.cvat_xml import read_cvat
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.annotations.labelme_json import read_labelme
from faster_rcnn.annotations.yolo_txt import read_yolo
from faster_rcnn.datasets.cards import Card

SIZE = (200, 100)
# the pixels of columns 10 to 49 and rows 20 to 79, inclusive, from 0
BOX = (10, 20, 49, 79)


def checked(annotation, size=SIZE, **rules):
    """(boxes with class names, messages) of an annotation."""
    checker = AnnotationChecker({"cat": 1, "dog": 2}, Card("pets", ("/",), ("cat", "dog"), **rules))
    objects = checker.check(annotation, size)
    return [(("", "cat", "dog")[obj.class_index], obj.box) for obj in objects], [
        f"{problem.subject} {problem.rule}; {problem.action}" for problem in checker.problems]


def yolo(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode(encoding))
    return read_yolo(str(path), SIZE, ("cat", "dog"))


@pytest.mark.parametrize("content", [
    "1 0.15 0.5 0.2 0.6", "\ufeff1 0.15 0.5 0.2 0.6\r\n\r\n", "1.0\t0.150000 0.500000 0.2 0.6",
    "1 0.05 0.2 0.25 0.8 0.05 0.8", "1 0.05 0.2 0.25 0.2 0.25 0.8 0.05 0.8"])
def test_yolo_boxes_and_outlines(tmp_path, content):
    assert checked(yolo(tmp_path, content)) == ([("dog", BOX)], [])


@pytest.mark.parametrize("x1", range(0, 100, 7))
def test_yolo_with_six_digits_is_right_for_every_pixel(tmp_path, x1):
    x2, width = x1 + 31, SIZE[0]
    line = f"0 {(x1 + x2 + 1) / 2 / width:.6f} 0.5 {(x2 - x1 + 1) / width:.6f} 1.0"
    assert checked(yolo(tmp_path, line)) == ([("cat", (x1, 0, x2, 99))], [])


@pytest.mark.parametrize("line, words", [
    ("7 0.5 0.5 0.2 0.2", 'line 1 (number 7) is of class "number 7", which is not on the data'),
    ("-1 0.5 0.5 0.2 0.2", 'of class "number -1"'),
    ("0.5 0.5 0.5 0.2 0.2", 'of class "number 0.5"'),
    ("0 0.5 0.5 0.2", "line 1 (cat) has 3 numbers behind the class"),
    ("0 0.5 0.5 0.2 0.2 0.9", "has 5 numbers behind the class"),
    ("0 0.5 abc 0.2 0.2", 'has the value "abc", which is not a number; skipped'),
    ("0 nan 0.5 0.2 0.2", "has the box nan, 0.5, 0.2, 0.2, which is not finite; skipped"),
    ("0 0.5 0.5 0 0.2", "whose width or height is not positive; skipped"),
    ("0 0.5 0.5 -0.1 0.2", "whose width or height is not positive; skipped"),
    ("0 100 50 40 20", "which are pixels; YOLO's numbers are shares of the image, 0 to 1; skipped"),
    ("0 1.5 0.5 0.2 0.2", "which lies outside the image; skipped"),
    ("0 0.95 0.5 0.2 0.2", "beyond the image (200 x 100); clamped to 0.925, 0.5, 0.15, 0.2")])
def test_wrong_yolo_lines_are_named(tmp_path, line, words):
    boxes, messages = checked(yolo(tmp_path, line), on_unknown_class="skip")
    assert len(messages) == 1 and words in messages[0]
    assert boxes == ([("cat", (170, 40, 199, 59))] if "clamped" in words else [])


def labelme(tmp_path, *shapes, **more):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"shapes": list(shapes), "imageData": "A" * 99, "imageWidth": 200,
                                "imageHeight": 100, **more}))
    return read_labelme(str(path))


@pytest.mark.parametrize("kind, points", [
    ("rectangle", [[10, 20], [50, 80]]), ("rectangle", [[50, 80.2], [10.3, 20]]),
    ("polygon", [[10, 20], [50, 40], [30, 80]]), ("linestrip", [[10, 80], [50, 20]]),
    ("points", [[10, 20], [50, 80], [11, 21]]), (None, [[10, 20], [50, 40], [30, 80]])])
def test_labelme_shapes(tmp_path, kind, points):
    shape = {"label": "cat", "shape_type": kind, "points": points}
    assert checked(labelme(tmp_path, shape)) == ([("cat", BOX)], [])


def test_labelme_circles_and_groups(tmp_path):
    circle = {"label": "cat", "shape_type": "circle", "points": [[50, 50], [53, 54]]}
    parts = [{"label": "dog", "shape_type": "polygon", "points": points, "group_id": 4}
             for points in ([[10, 20], [20, 20], [15, 30]], [[40, 70], [50, 80], [45, 75]])]
    other = dict(parts[0], group_id=5)
    assert checked(labelme(tmp_path, circle, *parts, other))[0] == [
        ("cat", (45, 45, 54, 54)), ("dog", BOX), ("dog", (10, 20, 19, 29))]


@pytest.mark.parametrize("shape, words", [
    ({"label": "cat", "shape_type": "point", "points": [[3, 4]]}, "is a point, which has no box"),
    ({"label": "cat", "points": [[3, "4"]]}, "has no points, or others than pairs of numbers"),
    ({"label": "cat"}, "has no points"), ("cat", "shape 1 (no name) has no class name"),
    ({"label": "cat", "points": [[3, 4], [3, 9]]}, "whose width or height is 0"),
    ({"label": "cat", "points": [[3, 4], [1e999, 9]]}, "which is not finite")])
def test_wrong_labelme_shapes_are_named(tmp_path, shape, words):
    boxes, messages = checked(labelme(tmp_path, shape))
    assert boxes == [] and len(messages) == 1 and words in messages[0]


@pytest.mark.parametrize("content, words", [
    ("{", "not well-formed JSON"), ("[]", 'the list "shapes" is not there'),
    ('{"shapes": {}}', 'the list "shapes"'), ("[" * 9999, "JSON that is not accepted")])
def test_wrong_labelme_files_are_refused(tmp_path, content, words):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(AnnotationError, match=words):
        read_labelme(str(tmp_path / "a.json"))


def table(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode(encoding))
    return read_csv(str(path)).annotations


@pytest.mark.parametrize("content", [
    "a.jpg,10,20,50,80,cat", "path,x1,y1,x2,y2,class\na.jpg,10,20,50,80,cat\n",
    "x2;y2;x1;y1;label;image\r\n50;80;10;20;cat;a.jpg\r\n",
    "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,200,100,cat,11,21,50,80",
    "\ufeffframe,xmin,xmax,ymin,ymax,class_id\na.jpg,11,50,21,80,cat",
    'ymax,ymin,xmax,xmin,class,filename,extra\n80,21,50,11,"cat","a.jpg","x,y"'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_in_any_order(tmp_path, content, encoding):
    if encoding == "utf-16":
        content = content.lstrip("\ufeff")
    found = table(tmp_path, content, encoding)
    assert list(found) == ["a.jpg"] and checked(found["a.jpg"]) == ([("cat", BOX)], [])


@pytest.mark.parametrize("head", ["", "filename;x1;y1;x2;y2;class\n"])
def test_decimal_commas(tmp_path, head):
    found = table(tmp_path, f"{head}a.jpg;10,2;19,8;50,0;80;cat\n")
    assert checked(found["a.jpg"]) == ([("cat", BOX)], [])


def test_an_empty_row_is_a_picture_without_objects(tmp_path):
    found = table(tmp_path, "b.jpg,,,,,\na.jpg,1,2,3,4,cat\na.jpg,5,6,9,9,dog\n")
    assert {name: len(one.objects) for name, one in found.items()} == {"b.jpg": 0, "a.jpg": 2}


@pytest.mark.parametrize("row, words", [
    ("a.jpg,50,20,10,80,cat", "whose corners are in the wrong order; skipped"),
    ("a.jpg,10,20,10,80,cat", "whose width or height is 0; skipped"),
    ("a.jpg,1,2,,4,cat", "line 2 (cat) has no x2; skipped"),
    ("a.jpg,1,2,x,4,cat", 'has x2 "x", which is not a number; skipped'),
    ("a.jpg,1,2,3,4,", "has no class name"), ("a.jpg,1,2", "has no class name"),
    ("a.jpg,nan,2,3,4,cat", "which is not finite"),
    ("a.jpg,100,20,250,80,cat", "clamped to 100, 20, 200, 80")])
def test_wrong_rows_are_named(tmp_path, row, words):
    found = table(tmp_path, f"b.jpg,1,2,3,4,dog\n{row}\n")
    messages = checked(found["a.jpg"])[1]
    assert len(messages) == 1 and words in messages[0]


@pytest.mark.parametrize("content, words", [
    ("", "is empty"), ("cat,0\ndog,1\n", ":1: neither names of columns"),
    ("a,b,c,d,e,f\n", "neither names"), ('"' + "x" * 200000, "not a table")])
def test_other_tables_are_refused(tmp_path, content, words):
    with pytest.raises(AnnotationError, match=words):
        table(tmp_path, content)


def cvat(tmp_path, inner, image='<image id="0" name="a.jpg" width="200" height="100">%s</image>'):
    path = tmp_path / "a.xml"
    path.write_text(f"<annotations><meta><task><labels><label><name>cat</name></label></labels>"
                    f"</task></meta>{image % inner if '%s' in image else image}</annotations>")
    return read_cvat(str(path))


@pytest.mark.parametrize("shape", [
    '<box label="cat" xtl="10.0" ytl="20.00" xbr="50" ybr="80.1"/>',
    '<box label="cat" xtl="0" ytl="30" xbr="60" ybr="70" rotation="90"/>',
    '<polygon label="cat" points="10,20;50,40;30,80"/>',
    '<ellipse label="cat" cx="30" cy="50" rx="20" ry="30"/>',
    '<mask label="cat" left="10" top="20" width="40" height="60" rle="1, 2"/>',
    '<skeleton label="cat"><points label="1" points="10,20"/><points label="2" points="50,80"/>'
    "</skeleton>"])
def test_cvat_shapes(tmp_path, shape):
    found = cvat(tmp_path, shape)
    assert found.labels == ["cat"] and list(found.annotations) == ["a.jpg"]
    assert checked(found.annotations["a.jpg"]) == ([("cat", BOX)], [])


@pytest.mark.parametrize("shape, words", [
    ('<box label="cat" xtl="10" ytl="20" xbr="50"/>', "box 1 of a.jpg (cat) has no ybr"),
    ('<box label="cat" xtl="a" ytl="20" xbr="50" ybr="3"/>', 'has xtl "a", which is not a number'),
    ('<box label="cat" xtl="90" ytl="20" xbr="50" ybr="30"/>', "corners are in the wrong order"),
    ('<points label="cat" points="10,20"/>', "is a point"),
    ('<polygon label="cat" points="10,20;x,3"/>', "points that cannot be read")])
def test_wrong_cvat_shapes_are_named(tmp_path, shape, words):
    messages = checked(cvat(tmp_path, shape).annotations["a.jpg"])[1]
    assert len(messages) == 1 and words in messages[0]


@pytest.mark.parametrize("image, words", [
    ("<track id='0'></track>", 'export the task as "CVAT for images"'),
    ("<image id='3'/>", "image 3 has no name"),
    ("<image name='a'/><image name='a'/>", "image a is listed twice"),
    ("<image name='a'>", "not well-formed XML"),
    ("<a>" * 200 + "</a>" * 200, "nested more than")])
def test_wrong_cvat_files_are_refused(tmp_path, image, words):
    with pytest.raises(AnnotationError, match=words):
        cvat(tmp_path, "", image)


def test_entities_are_not_expanded(tmp_path):
    (tmp_path / "a.xml").write_text('<!DOCTYPE a [<!ENTITY b "bbb">]>'
                                    "<annotations>&b;</annotations>")
    with pytest.raises(AnnotationError, match="not accepted"):
        read_cvat(str(tmp_path / "a.xml"))
