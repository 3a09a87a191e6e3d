"""Readers of VIA, CreateML, Label Studio and Open Images: known boxes, and what is wrong named."""
import json

import pytest

from faster_rcnn.annotations.check import AnnotationChecker
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.annotations.tables.create_ml import read_create_ml
from faster_rcnn.annotations.tables.label_studio import read_label_studio
from faster_rcnn.annotations.tables.open_images import read_open_images
from faster_rcnn.annotations.tables.via import read_via
from faster_rcnn.datasets.cards import Card

SIZE = (200, 100)
# the pixels of columns 10 to 49 and rows 20 to 79, inclusive, from 0
BOX = (10, 20, 49, 79)


def written(tmp_path, content, name="a.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def checked(table, name="a.jpg"):
    """(boxes with class names, messages) of an image."""
    checker = AnnotationChecker({"cat": 1, "dog": 2}, Card("pets", ("/",), ("cat", "dog")))
    objects = checker.check(table.annotations[name].of_image(SIZE), SIZE)
    return [(("", "cat", "dog")[obj.class_index], obj.box) for obj in objects], [
        f"{problem.subject} {problem.rule}; {problem.action}" for problem in checker.problems]


def via(tmp_path, *regions):
    return read_via(written(tmp_path, {"a.jpg1": {"filename": "a.jpg", "regions": list(regions)}}))


RECT = {"name": "rect", "x": 10, "y": 20, "width": 40, "height": 60}


@pytest.mark.parametrize("shape", [
    RECT, {"name": "polygon", "all_points_x": [10, 50, 30], "all_points_y": [20, 40, 80]},
    {"name": "ellipse", "cx": 30, "cy": 50, "rx": 20, "ry": 30}])
def test_shapes_of_via_become_boxes(tmp_path, shape):
    region = {"shape_attributes": shape, "region_attributes": {"type": "dog"}}
    assert checked(via(tmp_path, region)) == ([("dog", BOX)], [])


@pytest.mark.parametrize("attributes, name", [
    ({"colour": "red", "Class": "dog"}, "dog"), ({"animal": "cat"}, "cat"),
    ({"type": {"cat": False, "dog": True}}, "dog"), ({"name": " dog "}, "dog")])
def test_the_attribute_of_via_that_says_the_class(tmp_path, attributes, name):
    region = {"shape_attributes": RECT, "region_attributes": attributes}
    assert checked(via(tmp_path, region)) == ([(name, BOX)], [])


def test_objects_without_attributes_are_objects(tmp_path):
    table = via(tmp_path, {"shape_attributes": RECT, "region_attributes": {}})
    assert [obj.name for obj in table.annotations["a.jpg"].objects] == ["object"]


@pytest.mark.parametrize("region, words", [
    ({"shape_attributes": {"name": "point", "cx": 1, "cy": 2}, "region_attributes": {"c": "cat"}},
     "region 1 of a.jpg (cat) is a point, which has no box; skipped"),
    ({"shape_attributes": {**RECT, "x": None}, "region_attributes": {"c": "cat"}},
     "whose numbers are missing or cannot be read; skipped"),
    ({"shape_attributes": RECT, "region_attributes": {"c": {"cat": True, "dog": True}}},
     "has several classes: cat, dog; skipped")])
def test_wrong_regions_are_named(tmp_path, region, words):
    boxes, messages = checked(via(tmp_path, region))
    assert not boxes and words in messages[0]


def test_create_ml(tmp_path):
    good = {"label": "cat", "coordinates": {"x": 30, "y": 50, "width": 40, "height": 60}}
    table = read_create_ml(written(tmp_path, [
        {"image": "a.jpg", "annotations": [good, {"label": "dog", "coordinates": {"x": 3}}]},
        {"imagefilename": "b.jpg", "annotation": []}]))
    assert table.annotations["b.jpg"].objects == ()
    assert checked(table) == ([("cat", BOX)], [
        "object 2 of a.jpg (dog) has no coordinates x, y, width and height; skipped"])


def studio(value, **more):
    return {"original_width": 200, "original_height": 100, "type": "rectanglelabels",
            "value": value, **more}


@pytest.mark.parametrize("value", [
    {"x": 5, "y": 20, "width": 20, "height": 60, "rectanglelabels": ["cat"]},
    # turned by a quarter around the corner that then is the upper right one
    {"x": 25, "y": 20, "width": 30, "height": 40, "rotation": 90, "rectanglelabels": ["cat"]},
    {"x": 15, "y": 50, "radiusX": 10, "radiusY": 30, "ellipselabels": ["cat"]},
    {"points": [[5, 20], [25, 30], [10, 80]], "polygonlabels": ["cat"]}])
def test_shapes_of_label_studio_become_boxes(tmp_path, value):
    full = [{"data": {"image": "a.jpg"}, "annotations": [{"result": [studio(value)]}]}]
    small = [{"image": "a.jpg", "label": [{**value, "original_width": 200,
                                           "original_height": 100}]}]
    for content in (full, small):
        assert checked(read_label_studio(written(tmp_path, content))) == ([("cat", BOX)], [])


@pytest.mark.parametrize("address, name", [
    ("/data/upload/1/0a1b2c3d-a.jpg", "/data/upload/1/0a1b2c3d-a.jpg"),
    ("/data/local-files/?d=pets/a%20b.jpg", "pets/a b.jpg"),
    ("s3://bucket/pets/a.jpg", "/pets/a.jpg"),
    ("http://localhost:8080/data/a%20b.jpg", "/data/a b.jpg"), ("a.jpg", "a.jpg")])
def test_names_of_images_in_addresses(tmp_path, address, name):
    table = read_label_studio(written(tmp_path, [
        {"data": {"id": 7, "image": address}, "annotations": [{"result": []}]}]))
    assert list(table.annotations) == [name]


def test_tasks_without_and_with_several_annotations(tmp_path):
    value = {"x": 5, "y": 20, "width": 20, "height": 60, "rectanglelabels": ["cat"]}
    one = {"result": [studio(value)]}
    table = read_label_studio(written(tmp_path, [
        {"data": {"image": "a.jpg"},
         "annotations": [{"result": []}, {**one, "ground_truth": True}]},
        {"data": {"image": "b.jpg"}, "annotations": [{**one, "was_cancelled": True}]},
        {"data": {"image": "c.jpg"}, "annotations": [{"result": []}]}]))
    assert checked(table)[0] == [("cat", BOX)] and list(table.annotations) == ["a.jpg", "c.jpg"]
    assert [note.split(" ")[0] for note in table.notes] == ["1", "1"]


def test_open_images(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    (tmp_path / "class-descriptions.csv").write_text("/m/0c,cat\n")
    path = written(folder, "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n"
                   "a.jpg,/m/0c,0.05,0.25,0.2,0.8,1\na.jpg,dog,0.05,?,0.2,0.8,0\n", "boxes.csv")
    table = read_open_images(path)
    assert checked(table) == ([("cat", BOX)], [
        "line 3 (dog) has no XMin, YMin, XMax and YMax that are numbers; skipped"])
    assert [obj.difficult for obj in table.annotations["a.jpg"].objects] == [True, False]


@pytest.mark.parametrize("read, content", [
    (read_via, []), (read_via, {"a": 1}), (read_via, {"a": {"filename": 3}}),
    (read_create_ml, {}), (read_create_ml, [1]), (read_create_ml, [{"image": ""}]),
    (read_create_ml, [{"image": "a", "annotations": 3}]), (read_label_studio, {"a": 1}),
    (read_label_studio, [{"data": {"image": 3}}]), (read_label_studio, [3]),
    (read_open_images, "ImageID,XMin\n1,2\n"), (read_via, "{"), (read_open_images, "")])
def test_other_forms_are_refused_in_a_line_with_the_path(tmp_path, read, content):
    path = written(tmp_path, content)
    with pytest.raises(AnnotationError) as error:
        read(path)
    assert str(error.value).startswith(path) and "\n" not in str(error.value)


def test_rows_of_via_are_numbered_by_image(tmp_path):
    rows = "".join(f'{name}.jpg,"{{""name"":""point""}}",{{}}\n' for name in "aba")
    table = read_via(written(
        tmp_path, f"filename,region_shape_attributes,region_attributes\n{rows}", "a.csv"))
    assert [obj.place for obj in table.annotations["a.jpg"].objects] == [
        "region 1 of a.jpg", "region 2 of a.jpg"]


@pytest.mark.parametrize("place", ["a.csv", "class-descriptions.csv"])
def test_tables_of_open_images_with_cells_that_are_too_long(tmp_path, place):
    path = written(tmp_path, "ImageID,LabelName,XMin,XMax,YMin,YMax\na,b,0,1,0,1\n", "a.csv")
    long = written(tmp_path, f'"{200_000 * "x"}",b\n', place)
    with pytest.raises(AnnotationError, match="not a table") as error:
        read_open_images(path)
    assert str(error.value).startswith(long)


@pytest.mark.parametrize("image, width", [("http://[a/b.jpg", 640), ("b.jpg", 10 ** 400)],
                         ids=["address", "size"])
def test_label_studio_with_addresses_and_sizes_that_are_none(tmp_path, image, width):
    shape = {"original_width": width, "original_height": 480, "value": {
        "x": 10, "y": 20, "width": 30, "height": 40, "rotation": 5, "rectanglelabels": ["cat"]}}
    tasks = [{"data": {"image": image}, "annotations": [{"result": [shape]}]}]
    assert list(read_label_studio(written(tmp_path, tasks)).annotations) == [image]


@pytest.mark.parametrize("row", ['a.jpg,"{"', 'a.jpg,"[]"'])
def test_rows_of_via_that_cannot_be_read(tmp_path, row):
    path = written(tmp_path, f"filename,region_shape_attributes,region_attributes\n{row},{{}}\n",
                   "a.csv")
    try:
        boxes, messages = checked(read_via(path))
    except AnnotationError as error:
        assert "row 1 cannot be read" in str(error)
    else:
        assert not boxes


@pytest.mark.parametrize("regions", [3, "x", None, [3], {"0": {"shape_attributes": {"name": []}}}])
def test_regions_and_annotations_of_other_types(tmp_path, regions):
    table = read_via(written(tmp_path, {"a": {"filename": "a.jpg", "regions": regions}}))
    assert all(obj.box is None for obj in table.annotations["a.jpg"].objects)
    tasks = [{"data": {"image": "a.jpg"}, "annotations": regions}]
    assert set(read_label_studio(written(tmp_path, tasks)).annotations) <= {"a.jpg"}
