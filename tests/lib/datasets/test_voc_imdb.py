"""Data sets in VOC layout: images, proposals, evaluation."""
import json
import logging
import os

import numpy as np
import pytest
import scipy.io
from voc_folder import annotation_xml, write_card, write_set, write_text

from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.datasets.cards import CardError
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.datasets.pascal_voc import pascal_voc
from faster_rcnn.files import safe_pickle
from faster_rcnn.images.reading import ImageError
from faster_rcnn.reports.image_results import class_counts, image_results
from faster_rcnn.settings.config import cfg, cfg_override

CAT, DOG = ("cat", (11, 11, 30, 30)), ("Dog", (41, 11, 60, 30))


def tiny(tmp_path, annotations=None, splits=None, **options):
    root = write_set(tmp_path / "set", annotations or {"a": [CAT, DOG], "b": [DOG]}, splits)
    return get_imdb(write_card(tmp_path, root, **options) + ":trainval")


def found(data_set, rows):
    """all_boxes of {(class, image): [(x1, y1, x2, y2, score), ...]}."""
    boxes = [[[] for _ in range(data_set.num_images)] for _ in data_set.classes]
    for (number, image), dets in rows.items():
        boxes[number][image] = np.array(dets, np.float32)
    return boxes


def test_annotations_as_a_roidb(tmp_path):
    first, second = tiny(tmp_path).gt_roidb()
    assert first["boxes"].tolist() == [[10, 10, 29, 29], [40, 10, 59, 29]]
    assert first["boxes"].dtype == np.uint16 and first["gt_classes"].dtype == np.int32
    assert first["gt_classes"].tolist() == [1, 2]
    assert first["gt_overlaps"].toarray().tolist() == [[0, 1, 0], [0, 0, 1]]
    assert first["seg_areas"].tolist() == [400, 400] and not first["flipped"]
    assert second["gt_classes"].tolist() == [2]


def test_edited_annotations_are_read_by_the_next_run(tmp_path):
    assert tiny(tmp_path).gt_roidb()[1]["gt_classes"].tolist() == [2]
    write_text(tmp_path / "set", "Annotations/b.xml", annotation_xml([CAT]))
    again = get_imdb(str(tmp_path / "tiny.yml") + ":trainval")
    assert again.gt_roidb()[1]["gt_classes"].tolist() == [1]


def test_difficult_objects_train_only_when_wanted(tmp_path):
    data_set = tiny(tmp_path, {"a": [CAT, (*DOG, 1)]})
    assert data_set.gt_roidb()[0]["gt_classes"].tolist() == [1]
    data_set.config["use_diff"] = True
    assert data_set.gt_roidb()[0]["gt_classes"].tolist() == [1, 2]


def test_images_with_other_extensions_are_found(tmp_path):
    data_set = tiny(tmp_path)
    folder = tmp_path / "set" / "JPEGImages"
    os.rename(folder / "b.jpg", folder / "b.PNG")
    assert data_set.image_path_at(1) == str(folder / "b.PNG")


def test_missing_image_is_named_and_left_out(tmp_path, caplog):
    root = write_set(tmp_path / "set", {"a": [CAT], "b": [DOG]},
                     {"trainval": ["a", "gone", "b", "a"]})
    with caplog.at_level(logging.WARNING):
        data_set = get_imdb(write_card(tmp_path, root) + ":trainval")
    assert data_set.image_index == ["a", "b"]
    for words in ("image gone of split trainval is missing; image left out",
                  "names image a 2 times; used once"):
        assert caplog.text.count(words) == 1
    with pytest.raises(ImageError, match="image gone is not in"):
        get_imdb(write_card(tmp_path, root, on_bad_box="error") + ":trainval")


def test_without_any_image_the_first_use_says_so(tmp_path):
    data_set = tiny(tmp_path)
    for name in ("a", "b"):
        os.remove(tmp_path / "set" / "JPEGImages" / f"{name}.jpg")
    assert len(data_set.gt_roidb()) == 2
    with pytest.raises(ImageError, match="image a is not in .*JPEGImages"):
        data_set.image_path_at(0)


def test_two_roots_make_one_set(tmp_path):
    roots = [write_set(tmp_path / name, {name: [CAT], name + "2": [DOG]},
                       {"trainval": [name], "test": [name + "2"]}) for name in ("x", "y")]
    options = {"splits": "{test: [null, ImageSets/Main/test.txt]}"}
    path = write_card(tmp_path, f"[{', '.join(roots)}]", **options)
    both = get_imdb(path + ":trainval")
    assert both.image_index == ["x", "y"] and both.image_path_at(1).startswith(roots[1])
    assert [entry["gt_classes"].tolist() for entry in both.gt_roidb()] == [[1], [1]]
    assert get_imdb(path + ":test").image_index == ["y2"]
    twice = write_card(tmp_path, f"[{roots[0]}, {roots[0]}]")
    with pytest.raises(CardError, match="image x is in"):
        get_imdb(twice + ":trainval")


# ---------------------------------------------------------------------------------------- proposals

def test_rpn_proposals_stand_behind_annotations(tmp_path):
    data_set = tiny(tmp_path)
    boxes = [np.array([[10, 10, 29, 29], [0, 0, 5, 5]], np.float32), np.zeros((0, 4), np.float32)]
    safe_pickle.dump(boxes, str(tmp_path / "boxes.pkl"))
    data_set.config["rpn_file"] = str(tmp_path / "boxes.pkl")
    data_set.set_proposal_method("rpn")
    first, second = data_set.roidb
    assert first["gt_classes"].tolist() == [1, 2, 0, 0]
    assert first["gt_overlaps"].toarray()[2:].tolist() == [[0, 1, 0], [0, 0, 0]]
    assert second["gt_classes"].tolist() == [2]


def test_unusable_annotations_leave_nothing_to_train_on(tmp_path):
    data_set = tiny(tmp_path, {"a": [CAT], "b": "<annotation>"})
    safe_pickle.dump([np.array([[0, 0, 5, 5]], np.float32)] * 2, str(tmp_path / "boxes.pkl"))
    data_set.config["rpn_file"] = str(tmp_path / "boxes.pkl")
    assert [len(entry["boxes"]) for entry in data_set.rpn_roidb()] == [2, 0]


def test_proposals_that_are_not_there(tmp_path):
    data_set = tiny(tmp_path)
    with pytest.raises(ValueError, match="rpn_file"):
        data_set.rpn_roidb()
    data_set.config["rpn_file"] = "none.pkl"
    with pytest.raises(FileNotFoundError, match=r"none\.pkl does not exist"):
        data_set.rpn_roidb()
    with pytest.raises(FileNotFoundError, match="selective search boxes"):
        data_set.selective_search_roidb()


def test_selective_search_boxes(tmp_path):
    data_set = tiny(tmp_path)
    boxes = np.empty((1, 2), object)
    # y1, x1, y2, x2 from 1; the second equals the first, the third is one pixel
    boxes[0, 0] = np.array([[1, 2, 20, 30], [1, 2, 20, 30], [5, 5, 5, 5]], np.uint16)
    boxes[0, 1] = np.array([[11, 41, 30, 60]], np.uint16)
    os.makedirs(tmp_path / "selective_search_data")
    scipy.io.savemat(tmp_path / "selective_search_data" / "tiny_trainval.mat", {"boxes": boxes})
    with cfg_override(DATA_DIR=str(tmp_path)):
        first, second = data_set.roidb
    assert first["boxes"].tolist() == [[10, 10, 29, 29], [40, 10, 59, 29], [1, 0, 29, 19]]
    assert second["gt_overlaps"].toarray().tolist() == [[0, 0, 1], [0, 0, 1]]


# --------------------------------------------------------------------------------------- evaluation

def test_evaluation(tmp_path, capsys, caplog):
    caplog.set_level("DEBUG", "faster_rcnn")
    data_set = tiny(tmp_path, {"a": [CAT, DOG], "b": [DOG]})
    # the cat and one of two dogs; a false dog above it
    boxes = found(data_set, {(1, 0): [(10, 10, 29, 29, .9)],
                             (2, 0): [(0, 60, 9, 69, .8), (40, 10, 59, 29, .7)]})
    metrics = data_set.evaluate_detections(boxes, str(tmp_path / "out"))
    # dogs: recall 0, 1/2; precision 0, 1/2: the points 0 .. 0.5 have 1/2
    dog = 6 * .5 / 11
    assert metrics["per_class"]["Cat"]["ap"] == pytest.approx(1)
    assert metrics["per_class"]["dog"]["ap"] == pytest.approx(dog)
    assert metrics["mean_ap"] == pytest.approx((1 + dog) / 2)
    assert metrics["per_class"]["dog"]["rec"].tolist() == [0, .5]
    lines = capsys.readouterr().out.split("\n")
    assert "AP for Cat = 1.0000" in lines and f"AP for dog = {dog:.4f}" in lines
    assert f"Mean AP = {(1 + dog) / 2:.4f}" in lines
    again = "\n".join(["~~~~~~~~", "Results:", "1.000", f"{dog:.3f}", f"{(1 + dog) / 2:.3f}",
                       "~~~~~~~~"])
    assert again in caplog.messages and "Results:" not in lines
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["mean_ap"] == metrics["mean_ap"] and written["num_images"] == 2
    assert written["per_class"]["dog"] == {"ap": metrics["per_class"]["dog"]["ap"], "recall": .5,
                                           "num_objects": 2}
    curve = safe_pickle.load(str(tmp_path / "out" / "dog_pr.pkl"))
    assert sorted(curve) == ["ap", "prec", "rec"] and curve["prec"].tolist() == [0, .5]
    assert os.listdir(tmp_path / "out" / "results") == []


def test_area_metric_of_the_card(tmp_path):
    data_set = tiny(tmp_path, metric="area")
    boxes = found(data_set, {(2, 1): [(40, 10, 59, 29, .9)]})
    metrics = data_set.evaluate_detections(boxes, str(tmp_path))
    assert metrics["per_class"]["dog"]["ap"] == .5


def test_class_without_objects_is_not_in_the_mean(tmp_path, capsys):
    data_set = tiny(tmp_path, {"a": [CAT]})
    metrics = data_set.evaluate_detections(found(data_set, {(1, 0): [(10, 10, 29, 29, .9)]}),
                                           str(tmp_path))
    assert metrics["mean_ap"] == pytest.approx(1) and np.isnan(metrics["per_class"]["dog"]["ap"])
    assert "AP for dog = nan (no objects" in capsys.readouterr().out
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text)["per_class"]["dog"]["ap"] is None


def test_images_that_cannot_be_judged_do_not_count(tmp_path):
    data_set = tiny(tmp_path, {"a": [CAT], "b": "<annotation>"})
    boxes = found(data_set, {(1, 0): [(10, 10, 29, 29, .5)], (1, 1): [(0, 0, 9, 9, .9)]})
    metrics = data_set.evaluate_detections(boxes, str(tmp_path))
    assert metrics["num_images"] == 1 and metrics["mean_ap"] == pytest.approx(1)


def test_without_annotations_results_are_written_only(tmp_path, caplog):
    data_set = tiny(tmp_path)
    for name in ("a", "b"):
        os.remove(tmp_path / "set" / "Annotations" / f"{name}.xml")
    data_set.competition_mode(True)
    boxes = found(data_set, {(1, 0): [(10, 10, 29, 29, .9)]})
    assert data_set.evaluate_detections(boxes, str(tmp_path)) is None
    assert "tiny_trainval has no annotations" in caplog.text
    text = (tmp_path / "results" / "comp4_det_trainval_Cat.txt").read_text()
    assert text == "a 0.900 11.0 11.0 30.0 30.0\n"


def test_a_secret_test_set_is_not_an_error_for_the_loader(tmp_path):
    data_set = tiny(tmp_path, on_bad_box="error")
    os.remove(tmp_path / "set" / "Annotations" / "b.xml")
    with pytest.raises(AnnotationError, match=r"b\.xml: the annotation file is not there"):
        data_set.gt_roidb()


# -------------------------------------------------------------------------------------- pascal_voc

def devkit(tmp_path, year):
    write_set(tmp_path / f"VOC{year}", {"000001": [("cat", (1, 1, 9, 9))]})
    return str(tmp_path)


def test_pascal_voc(tmp_path):
    data_set = pascal_voc("trainval", "2007", devkit(tmp_path, 2007))
    assert data_set.name == "voc_2007_trainval" and data_set.num_classes == 21
    assert data_set.classes[8] == "cat"
    assert data_set.image_path_at(0) == str(tmp_path / "VOC2007" / "JPEGImages" / "000001.jpg")
    data_set.competition_mode(True)
    metrics = data_set.evaluate_detections(found(data_set, {}), str(tmp_path / "out"))
    assert metrics["metric"] == "voc07"
    names = os.listdir(tmp_path / "results" / "VOC2007" / "Main")
    assert len(names) == 20 and "comp4_det_trainval_cat.txt" in names


def test_pascal_voc_of_2012_uses_the_area(tmp_path):
    assert pascal_voc("trainval", "2012", devkit(tmp_path, 2012)).card.metric == "area"


def test_objects_marked_difficult_count_by_name(tmp_path):
    write_set(tmp_path / "VOCdevkit2007" / "VOC2007",
              {"000001": [("cat", (1, 1, 9, 9)), ("dog", (11, 1, 19, 9), 1)]})
    with cfg_override(DATA_DIR=str(tmp_path)):
        usual, all_objects = (get_imdb("voc_2007_trainval" + end) for end in ("", "_diff"))
    assert all_objects.name == "voc_2007_trainval_diff"
    assert [len(data.gt_roidb()[0]["boxes"]) for data in (usual, all_objects)] == [1, 2]


def test_missing_devkit_is_explained(tmp_path):
    with cfg_override(DATA_DIR=str(tmp_path)):
        with pytest.raises(FileNotFoundError, match=r"VOCdevkit2007.VOC2007 does not exist"):
            get_imdb("voc_2007_trainval")
    assert cfg.DATA_DIR != str(tmp_path)


def test_salted_names_differ_between_data_sets(tmp_path):
    kit = devkit(tmp_path, 2007)
    first, second = (pascal_voc("trainval", "2007", kit)._get_comp_id() for _ in range(2))
    assert first != second and first.startswith("comp4_")


def test_utf8_byte_order_mark_in_a_list_of_images(tmp_path):
    root = write_set(tmp_path / "set", {"a": [CAT]})
    write_text(root, "ImageSets/Main/trainval.txt", "\ufeffa\n")
    assert get_imdb(write_card(tmp_path, root) + ":trainval").image_index == ["a"]


def test_difficult_objects_are_neither_found_nor_missed_nor_false_alarms(tmp_path):
    root = write_set(tmp_path / "set", {
        "a": [("cat", (11, 11, 30, 30), 1), ("cat", (51, 11, 70, 30))],
        "b": [("cat", (11, 11, 30, 30), 1)], "c": [("cat", (11, 11, 30, 30))]})
    write_text(root, "Annotations/c.xml", "<html>")
    imdb = get_imdb(write_card(tmp_path, root) + ":trainval")
    on_difficult = np.array([[10, 10, 29, 29, 0.9]])
    results = image_results(imdb, [[], [on_difficult] * 3, [np.zeros((0, 5))] * 3],
                            imdb.annotated_boxes())
    assert [result.index for result in results] == [0, 1]       # c cannot be judged
    assert not any(result.num_false for result in results)
    assert [len(result.missed) for result in results] == [1, 0]
    assert class_counts(results, ("Cat", "dog")) == {"Cat": (1, 0, 0), "dog": (0, 0, 0)}
    imdb.config["use_diff"] = True      # for training; evaluations leave them out all the same
    assert imdb.annotated_boxes()[0].ignored.tolist() == [True, False]
