"""DetectionEvaluate, the files of DetectionOutput, boxes on the original image: SSD's numbers."""
import json

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from layer_harness import build

from caffe.core.errors import DataError, LayerError
from caffe.layer_types.regions.image_boxes import on_image, pixel_overlaps
from caffe.layer_types.regions.label_maps import read_label_map, read_name_sizes
from caffe.proto import caffe_pb2 as pb

# image, label, number, box, difficult
OBJECTS = [(0, 1, 0, 0.0, 0.0, 0.4, 0.4, 0), (0, 1, 1, 0.5, 0.5, 0.9, 0.9, 1),
           (0, 2, 0, 0.0, 0.5, 0.4, 0.9, 0), (1, 2, 0, 0.2, 0.2, 0.6, 0.6, 0)]
# image, label, confidence, box
DETECTIONS = [(0, 1, 0.6, 0.0, 0.0, 0.4, 0.38),     # right, but the second best of its object
              (0, 1, 0.9, 0.01, 0.0, 0.4, 0.4),     # right
              (0, 1, 0.8, 0.5, 0.5, 0.9, 0.88),     # of the difficult one
              (0, 2, 0.7, 0.2, 0.5, 0.6, 0.9),      # overlaps by a third only
              (1, 1, 0.5, 0.0, 0.0, 0.1, 0.1),      # there is no object of class 1 in image 1
              (1, 2, 0.4, 0.2, 0.2, 0.6, 0.6),      # right
              (1, -1, -1, -1, -1, -1, -1)]          # no detection


def evaluate(text="num_classes: 4", detections=DETECTIONS, objects=OBJECTS, module=None):
    detections, objects = (torch.tensor(np.float32(rows))[None, None]
                           for rows in (detections, objects))
    module = module or build('type: "DetectionEvaluate" detection_evaluate_param { '
                             f"{text} }}", detections.shape, objects.shape)
    return module(detections, objects)[0, 0].numpy()


def test_right_and_wrong_detections():
    rows = evaluate()
    assert rows[:3].tolist() == [[-1, 1, 2, -1, -1], [-1, 2, 2, -1, -1], [-1, 3, 0, -1, -1]]
    np.testing.assert_allclose(rows[3:], [
        (0, 1, 0.9, 1, 0), (0, 1, 0.8, 1, 0), (0, 1, 0.6, 0, 1), (0, 2, 0.7, 0, 1),
        (1, 1, 0.5, 0, 1), (1, 2, 0.4, 1, 0)])


def test_difficult_objects_that_do_not_count():
    rows = evaluate("num_classes: 4 evaluate_difficult_gt: false")
    assert rows[:3, 2].tolist() == [1, 2, 0]
    assert rows[4, 3:].tolist() == [0, 0]       # neither right nor wrong
    assert rows[3, 3:].tolist() == [1, 0]


@pytest.mark.parametrize("threshold, right", [(0.3, True), (0.4, False)])
def test_the_overlap_that_is_enough(threshold, right):
    assert evaluate(f"num_classes: 4 overlap_threshold: {threshold}")[6, 3] == right


def test_without_a_background_every_class_is_counted():
    assert evaluate("num_classes: 4 background_label_id: -1")[:4, 1].tolist() == [0, 1, 2, 3]


def test_neither_detections_nor_objects():
    rows = evaluate(detections=[(0, -1, -1, -1, -1, -1, -1)], objects=[[-1] * 8])
    assert rows.tolist() == [[-1, label, 0, -1, -1] for label in (1, 2, 3)]


def test_boxes_are_compared_in_pixels_where_sizes_are_known(tmp_path):
    """Two boxes of a pixel each that lie on the same pixel's left and right border."""
    path = tmp_path / "sizes.txt"
    path.write_text("a 10 10\nb 1000 1000\n")
    objects = [(0, 1, 0, 0.2, 0.2, 0.3, 0.3, 0)]
    detections = [(0, 1, 0.9, 0.2, 0.2, 0.4, 0.3)]
    # pixels, last ones included: 2 x 2 of 3 x 2 in a small image, 101 x 101 of 201 x 101 in a large
    text = f"name_size_file: '{path}' overlap_threshold: 0.6"
    shapes = (1, 1, 1, 7), (1, 1, 1, 8)
    module = build('type: "DetectionEvaluate" detection_evaluate_param { num_classes: 2 '
                   f"{text} }}", *shapes)
    passes = [evaluate(detections=detections, objects=objects, module=module)[1, 3]
              for _ in range(4)]
    assert passes == [1, 0, 1, 0]       # the images' sizes come in turn, over and over


@pytest.mark.parametrize("text, rows, problem", [
    ("num_classes: 0", OBJECTS, "num_classes > 0"),
    ("num_classes: 4 overlap_threshold: 0", OBJECTS, "overlap_threshold > 0"),
    ("num_classes: 4 name_size_file: '/nowhere/x'", OBJECTS, "/nowhere/x: .* cannot be read"),
    ("num_classes: 4 background_label_id: 2", OBJECTS, "no object with the label of the"),
    ("num_classes: 4", [(0, 1, 0)], "objects of shape .1, 1, n, 8.")])
def test_what_an_evaluation_refuses(text, rows, problem):
    with pytest.raises(LayerError, match=problem):
        evaluate(text, objects=rows)


# -- boxes on the image


def resize(text):
    return text_format.Parse(text, pb.ResizeParameter())


@pytest.mark.parametrize("text, box, wanted", [
    (None, (0.1, 0.2, 1.2, 0.5), (20, 20, 200, 50)),
    ("height: 300 width: 300", (0.1, 0.2, 1.2, 0.5), (20, 20, 200, 50)),
    # 200 x 100 fills the width of 300 x 300: 75 pixels, a quarter, are added above and below
    ("height: 300 width: 300 resize_mode: FIT_LARGE_SIZE_AND_PAD", (0.1, 0.25, 0.5, 0.5),
     (20, 0, 100, 50)),
    ("height: 100 width: 400 resize_mode: FIT_LARGE_SIZE_AND_PAD", (0.25, 0, 0.5, 1),
     (0, 0, 100, 100)),
    ("height: 9 width: 9 resize_mode: FIT_SMALL_SIZE", (0.1, 0.2, 0.3, 0.5), (20, 20, 60, 50)),
    ("height: 9 width: 9 resize_mode: FIT_SMALL_SIZE height_scale: 50 width_scale: 400",
     (0.1, 0.2, 0.9, 0.5), (40, 10, 200, 25))])
def test_boxes_on_an_image_of_200_by_100(text, box, wanted):
    boxes = on_image(torch.tensor([box]), 100, 200, resize(text) if text else None)
    np.testing.assert_allclose(boxes[0], wanted, rtol=1e-5, atol=1e-4)


def test_overlaps_of_pixels():
    box, others = torch.tensor([0.0, 0, 1, 1]), torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1],
                                                             [2, 2, 3, 3], [0, 0, 0, 0]])
    np.testing.assert_allclose(pixel_overlaps(box, others), [1, 1 / 3, 0, 1 / 4])


# -- files


MAP = """item { name: "none_of_the_above" label: 0 display_name: "background" }
item { name: "cat" label: 1 } item { name: "dog" label: 2 display_name: "Dog" }"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "map.prototxt").write_text(MAP)
    (tmp_path / "sizes.txt").write_text("000001 100 200\nb 300 300\n")
    return tmp_path


def output(files, form, extra="", name="map.prototxt"):
    return build('type: "DetectionOutput" detection_output_param { num_classes: 3 keep_top_k: 5 '
                 "confidence_threshold: 0.4 code_type: CORNER save_output_param { "
                 f"output_directory: '{files}/out/deep' output_name_prefix: 'det_' "
                 f"output_format: '{form}' label_map_file: '{files}/{name}' "
                 f"name_size_file: '{files}/sizes.txt' {extra} }} }}", (1, 8), (1, 6), (1, 2, 8))


PRIORS = torch.tensor([[[0.1, 0.2, 0.5, 0.6, 0.25, 0.25, 0.75, 0.70016], [0.1] * 8]])
NONE = torch.zeros(1, 8)
# background, cat, dog of both priors
FIRST = torch.tensor([[0.0, 0.9, 0, 0, 0, 0.512345678]])
SECOND = torch.tensor([[0.0, 0, 0, 0, 0.45, 0]])


def test_files_in_the_format_of_voc(files):
    module = output(files, "VOC")
    module(NONE, FIRST, PRIORS)
    assert not (files / "out").exists()         # the second image is missing
    for _ in range(2):
        module(NONE, SECOND, PRIORS)
        read = {path.name: path.read_text() for path in (files / "out" / "deep").iterdir()}
        assert read == {"det_cat.txt": "000001 0.9 20 20 100 60\nb 0.45 75 75 225 210\n",
                        "det_dog.txt": "000001 0.512346 50 25 150 70\n"}
        module(NONE, FIRST, PRIORS)             # the next test begins


def test_files_in_the_format_of_ilsvrc(files):
    output(files, "ILSVRC", "num_test_image: 1")(NONE, FIRST, PRIORS)
    assert (files / "out/deep/det_.txt").read_text() == \
        "000001 1 0.9 20 20 100 60\n000001 2 0.512346 50 25 150 70\n"


def test_files_in_the_format_of_coco(files):
    (files / "map.prototxt").write_text(MAP.replace("cat", "17").replace("dog", "18"))
    output(files, "COCO", "num_test_image: 1")(NONE, FIRST, PRIORS)
    first, second = json.loads((files / "out/deep/det_.json").read_text())
    # pycocotools needs numbers; 000001 is one
    assert first == {"image_id": 1, "category_id": 17, "bbox": [20.0, 20.0, 80.0, 40.0],
                     "score": pytest.approx(0.9)}
    assert second["bbox"] == [50.0, 25.0, 100.0, 45.02]     # cut to hundredths


@pytest.mark.parametrize("form, extra, name, problem", [
    ("YOLO", "", "map.prototxt", "expected output_format VOC, COCO, ILSVRC, got \"YOLO\""),
    ("VOC", "num_test_image: 3", "map.prototxt", "num_test_image is 3, but .* lists 2 images"),
    ("VOC", "", "sizes.txt", "label map: ")])
def test_what_files_of_detections_refuse(files, form, extra, name, problem):
    with pytest.raises(LayerError, match=problem):
        output(files, form, extra, name)


def test_a_net_from_elsewhere_runs_without_its_label_map(files, caplog):
    module = output(files, "VOC", name="nothing")
    assert f'there is no label_map_file "{files}/nothing"' in caplog.text
    module(NONE, FIRST, PRIORS)
    assert not (files / "out").exists()


def test_a_label_without_a_name(files):
    (files / "map.prototxt").write_text('item { name: "cat" label: 1 }')
    with pytest.raises(LayerError, match="there is no name for label 2"):
        output(files, "VOC")


def test_a_folder_that_cannot_be_written(files):
    (files / "out").write_text("a file")
    with pytest.raises(LayerError, match="out.*cannot be written"):
        output(files, "VOC", "num_test_image: 1")(NONE, FIRST, PRIORS)


# -- label maps and sizes


def test_label_maps(files):
    assert read_label_map(str(files / "map.prototxt")) == {0: "none_of_the_above", 1: "cat",
                                                           2: "dog"}


@pytest.mark.parametrize("text, problem", [
    ("", "there are no items here"), ("item { label: 1 }", "items with a name and a label"),
    ('item { name: "a" }', "items with a name and a label"),
    ('item { name: "a" label: 1 } item { name: "b" label: 1 }', "label 1 has two names, a and b"),
    ("layer { }", 'LabelMap has no field "layer"')])
def test_bad_label_maps(tmp_path, text, problem):
    (tmp_path / "map").write_text(text)
    with pytest.raises(DataError, match=problem):
        read_label_map(str(tmp_path / "map"))


@pytest.mark.parametrize("text, problem", [
    ("a 1 2\nb 3\n", 'x:2: expected "name height width", got "b 3"'), ("a 1 -2\n", "x:1: expected"),
    ("a x 2\n", "x:1: expected"), ("\n", "is empty")])
def test_bad_lists_of_sizes(tmp_path, text, problem):
    (tmp_path / "x").write_text(text)
    with pytest.raises(DataError, match=problem):
        read_name_sizes(str(tmp_path / "x"))
