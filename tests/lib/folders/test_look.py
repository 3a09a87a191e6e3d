"""Folders as people have them become data sets: found by looking, right to a pixel."""
import os
import shutil

import numpy as np
import own_folders
import own_tables
import pytest

from faster_rcnn.datasets.cards import load_card
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.datasets.samples.pictures import FolderError
from faster_rcnn.folders.look import look

# form -> (maker, format, classes, pictures to train on, to test on)
FORMS = {
    "raccoon": (own_folders.raccoon, "voc", ("raccoon",), 24, 6),
    "kangaroo": (own_folders.kangaroo, "voc", ("kangaroo",), 19, 5),
    "ultralytics": (own_folders.ultralytics, "yolo", ("cat", "dog"), 10, 4),
    "roboflow_yolo": (own_folders.roboflow_yolo, "yolo", ("cat", "dog"), 10, 3),
    "roboflow_coco": (own_folders.roboflow_coco, "coco", ("cat", "dog"), 10, 3),
    "one_coco": (own_folders.one_coco, "coco", ("cat", "dog"), 9, 3),
    "labelme": (own_folders.labelme, "labelme", ("cat", "dog"), 9, 3),
    "cvat": (own_folders.cvat, "cvat", ("cat", "dog"), 9, 3),
    "retinanet": (own_folders.retinanet, "csv", ("cat", "dog"), 11, 5),
    "pascal_together": (own_folders.pascal_together, "voc", ("cat", "dog"), 9, 3),
    "via": (own_tables.via, "via", ("cat", "dog"), 9, 3),
    "via_project": (own_tables.via_project, "via", ("cat", "dog"), 9, 3),
    "via_splits": (own_tables.via_splits, "via", ("cat", "dog"), 9, 3),
    "via_csv": (own_tables.via_csv, "via", ("cat", "dog"), 9, 3),
    "create_ml": (own_tables.create_ml, "createml", ("cat", "dog"), 9, 3),
    "label_studio": (own_tables.label_studio, "labelstudio", ("cat", "dog"), 9, 3),
    "label_studio_min": (own_tables.label_studio_min, "labelstudio", ("cat", "dog"), 9, 3),
    "open_images": (own_tables.open_images, "openimages", ("cat", "dog"), 9, 3),
    "csv_of_folders": (own_tables.csv_of_folders, "csv", ("cat", "dog"), 9, 3),
    "csv_of_shares": (own_tables.csv_of_shares, "csv", ("cat", "dog"), 9, 3),
}


def annotated(imdb):
    """{digits of the picture's name: sorted (class name, box)}."""
    found = {}
    for i, entry in enumerate(imdb.gt_roidb()):
        name = os.path.basename(imdb.image_path_at(i)).split(".")[0].split("_jpg")[0]
        name = name.removeprefix("0a1b2c3d-")
        found[name] = sorted((imdb.classes[number], *map(int, box)) for number, box
                             in zip(entry["gt_classes"], entry["boxes"]))
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_is_a_data_set(tmp_path, form):
    make, kind, classes, num_train, num_test = FORMS[form]
    folder = make(tmp_path / "My pictures")
    train, test = (get_imdb(str(folder), use) for use in ("train", "test"))
    assert (train.card.format, train.card.classes or tuple(train.classes[1:])) == (kind, classes)
    assert train.card.path == str(folder / "My_pictures.yml")
    assert (train.num_images, test.num_images) == (num_train, num_test)
    objects = {**annotated(train), **annotated(test)}
    assert len(objects) == num_train + num_test
    for name, found in objects.items():
        number = "".join(filter(str.isdigit, name))
        expected = own_folders.objects_of(int(number), classes) if number else []
        assert found == sorted(expected), name
    assert not [problem for problem in train.problems + test.problems
                if "says that the image has" not in str(problem)]


@pytest.mark.parametrize("form", FORMS)
def test_the_card_is_used_from_then_on(tmp_path, form):
    folder = FORMS[form][0](tmp_path / "pets")
    first = get_imdb(str(folder))
    names = sorted(os.listdir(folder))
    card = load_card(str(folder / "pets.yml"))
    again = get_imdb(f"{folder}:{card.train}")
    assert again.image_index == first.image_index and sorted(os.listdir(folder)) == names
    assert get_imdb(f"{folder}/pets.yml:{card.train}").image_index == first.image_index


def test_sentences_say_what_was_found(tmp_path):
    found = look(str(own_folders.raccoon(tmp_path / "raccoon")))
    words = "\n".join(found.sentences)
    assert "30 pictures; 30 with annotations as VOC's XML in annotations" in words
    assert "tables (CSV) were found as well, for 30 pictures; --format csv takes them" in words
    assert "raccoon (40 objects)" in words
    assert "training: 24 pictures (data/train_labels.csv); test: 6 pictures" in words
    divided = look(str(own_folders.kangaroo(tmp_path / "kangaroo")))
    assert "divided at random (seed 3)" in divided.sentences[-1]
    assert "19 pictures for training, 5 for the test" in divided.sentences[-1]


@pytest.mark.parametrize("picture, xml, folders", [
    ("{0}.jpg", "{0}.xml", ["."]), ("a/{0}.jpg", "{0}.xml", ["."]),
    ("images/{0}.JPG", "Annotations/{0}.XML", ["Annotations"]),
    ("images/s{1}/{0}.jpg", "xml/s{1}/{0}.xml", ["xml"]),
    ("s{1}/images/{0}.jpg", "s{1}/xml/{0}.xml", ["xml"]),
    ("s{1}/{0}.jpg", "s{1}/xml/{0}.xml", ["xml"]), ("s{1}/{0}.jpg", "all/{0}.xml", ["all"]),
    ("s{1}/{0}.jpg", "xml{1}/{0}.xml", ["xml0", "xml1"])])
def test_xml_in_any_folders(tmp_path, picture, xml, folders):
    for number in range(8):
        own_folders.picture(tmp_path / picture.format(number, number % 2), number)
        own_folders.text(tmp_path / xml.format(number, number % 2),
                         own_folders.voc_xml(own_folders.objects_of(number)))
    assert look(str(tmp_path)).content["annotations"] == folders
    train, test = (annotated(get_imdb(str(tmp_path), use)) for use in ("train", "test"))
    assert len(train) + len(test) == 8
    assert {**train, **test}["3"] == own_folders.objects_of(3)


def test_lists_of_vocs_devkit_are_taken_before_those_of_a_class(tmp_path):
    own_folders.kangaroo(tmp_path, 10)
    for name, numbers in (("Main/cat_test", [1]), ("Layout/test", [2]), ("Main/test", [3, 4]),
                          ("Main/trainval", range(5, 11)), ("Main/train", [5, 6])):
        own_folders.text(tmp_path / f"ImageSets/{name}.txt",
                         "".join(f"{number:05d}\n" for number in numbers))
    assert look(str(tmp_path)).content["splits"] == {
        "test": ["ImageSets/Main/test.txt"], "train": ["ImageSets/Main/train.txt"],
        "trainval": ["ImageSets/Main/trainval.txt"]}
    assert get_imdb(str(tmp_path)).num_images == 6


def test_the_format_can_be_chosen(tmp_path):
    folder = own_folders.raccoon(tmp_path / "raccoon")
    found = look(str(folder), "csv")
    assert found.content["format"] == "csv"
    assert found.content["splits"] == {"train": ["data/train_labels.csv"],
                                       "test": ["data/test_labels.csv"]}
    with pytest.raises(FolderError, match="no annotations as YOLO's label files were found"):
        look(str(folder), "yolo")


def test_pictures_that_look_alike_stay_on_one_side(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "kangaroo", 20)
    for number in range(1, 21):
        own_folders.picture(folder / "images" / f"copy{number}.png", number)
        own_folders.text(folder / "annots" / f"copy{number}.xml", own_folders.voc_xml(
            own_folders.objects_of(number, ("kangaroo",))))
    train, test = ({int("".join(filter(str.isdigit, name))) for name in get_imdb(
        str(folder), use).image_index} for use in ("train", "test"))
    assert not train & test and train | test == set(range(1, 21)) and 2 <= len(test) <= 5


def test_folders_without_anything_are_refused(tmp_path):
    with pytest.raises(FolderError, match="is not a folder"):
        look(str(tmp_path / "nothing"))
    own_folders.picture(tmp_path / "a.jpg", 1)
    with pytest.raises(FolderError, match="no annotations of a known format were found for its 1 "):
        look(str(tmp_path))


def test_train_and_val_of_the_same_pictures_are_divided_anew(tmp_path):
    folder = own_folders.ultralytics(tmp_path / "coco128", val="images/train")
    shutil.rmtree(folder / "images" / "val")
    found = look(str(folder))
    assert any("10 of 10 pictures in common" in sentence for sentence in found.sentences)
    assert set(found.lists) == {"coco128_train.txt", "coco128_test.txt"}


@pytest.mark.parametrize("train", [["images/train", "images/more"], "train.txt", "./images/train",
                                   "/content/datasets/pets/images/train", "images\\train"])
def test_data_yaml_in_its_many_forms(tmp_path, train):
    folder = own_folders.ultralytics(tmp_path / "pets", as_mapping=False, train=train)
    own_folders.text(folder / "train.txt", "".join(f"./images/train/{number}.jpg\n"
                                                   for number in range(10)))
    own_folders.yolo_split(folder, "images/more", "labels/more", range(40, 43), ("cat", "dog"))
    imdb = get_imdb(str(folder))
    assert imdb.num_images == (13 if isinstance(train, list) else 10)
    assert annotated(imdb)["3"] == sorted(own_folders.objects_of(3, ("cat", "dog")))


def test_class_names_with_slashes_and_spaces(tmp_path):
    names = ("traffic light/red", "stop sign: old", "C:\\d")
    folder = own_folders.ultralytics(tmp_path / "signs", names)
    imdb = get_imdb(str(folder), "test")
    assert tuple(imdb.classes[1:]) == names
    boxes = [[np.zeros((0, 5), np.float32)] * imdb.num_images for _ in imdb.classes]
    metrics = imdb.evaluate_detections(boxes, str(tmp_path / "out"))
    assert set(metrics["per_class"]) == set(names)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "C%3A%5Cd_pr.pkl", "metrics.json", "results", "stop sign%3A old_pr.pkl",
        "traffic light%2Fred_pr.pkl"]


def test_a_folder_that_cannot_be_written_to_gets_its_card_elsewhere(tmp_path, monkeypatch):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    monkeypatch.setattr("faster_rcnn.datasets.factory.spare_folder", lambda: str(tmp_path / "own"))
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(folder))
    names = sorted(os.listdir(folder))
    imdb = get_imdb(str(folder))
    assert imdb.num_images == 19 and sorted(os.listdir(folder)) == names
    assert imdb.card.path.startswith(str(tmp_path / "own" / "kangaroo_"))
    assert get_imdb(str(folder)).image_index == imdb.image_index
