"""Which picture a name in a file means, and which annotation belongs to a picture."""
import os

import own_folders
import pytest

from faster_rcnn.datasets.cards import CardError, load_card
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.datasets.samples import pictures
from faster_rcnn.datasets.samples.pictures import FolderError, PictureIndex, files_below
from faster_rcnn.datasets.samples.sources import FileSource
from faster_rcnn.images.reading import ImageError


@pytest.mark.parametrize("name, expected", [
    ("images/a/1.JPG", "images/a/1.JPG"), ("a/1.jpg", "images/a/1.JPG"), ("a\\1", "images/a/1.JPG"),
    ("C:\\Users\\me\\images\\b\\1.jpg", "images/b/1.jpg"), ("/home/me/x/b/1.jpg", "images/b/1.jpg"),
    ('"2.jpeg"', "images/2.jpeg"), ("2.png", "images/2.jpeg"), ("v1.5", "images/v1.5.jpg"),
    ("3", "images/3"), ("1.jpg", None), ("9.jpg", None), ("./images/2.jpeg", "images/2.jpeg")])
def test_names_of_pictures(tmp_path, name, expected):
    for path in ("images/a/1.JPG", "images/b/1.jpg", "images/2.jpeg", "images/v1.5.jpg",
                 "images/3", "images/.hidden/9.jpg", "__MACOSX/9.jpg"):
        own_folders.picture(tmp_path / path, 1)
    own_folders.text(tmp_path / "images/4", "no picture")
    found = PictureIndex(str(tmp_path)).find(name, str(tmp_path / "lists"))
    assert found == (expected and str(tmp_path / expected))


@pytest.mark.parametrize("name, expected", [
    ("/data/b/img/1.jpg", "b/img/1.jpg"), ("x/img/1.jpg", None), ("y/1.jpg", None),
    ("a/other/1.jpg", None), ("B/IMG/1", "b/img/1.jpg")])
def test_pictures_of_one_name_in_many_folders(tmp_path, name, expected):
    for folder in "abc":
        own_folders.picture(tmp_path / folder / "img" / "1.jpg", 1)
    index = PictureIndex(str(tmp_path))
    assert index.find(name, str(tmp_path)) == (expected and str(tmp_path / expected))
    assert expected or "is there 3 times" in index.fault(name)


def test_links_are_followed_once_and_files_are_limited(tmp_path, monkeypatch):
    own_folders.picture(tmp_path / "other" / "1.jpg", 1)
    own_folders.text(tmp_path / "data" / "a.txt", "")
    os.symlink(tmp_path / "other", tmp_path / "data" / "pictures")
    os.symlink(tmp_path / "data", tmp_path / "data" / "loop")
    assert files_below(str(tmp_path / "data")) == ["a.txt", "pictures/1.jpg"]
    monkeypatch.setattr(pictures, "MAX_FILES", 1)
    with pytest.raises(FolderError, match="more than 1 files, which is the limit"):
        files_below(str(tmp_path / "data"))


@pytest.mark.parametrize("picture, label", [
    ("images/train/1.jpg", "labels/train/1.txt"), ("train/images/1.jpg", "train/labels/1.txt"),
    ("images/1.jpg", "labels/1.TXT"), ("1.jpg", "1.txt"), ("1.jpg", "labels/1.txt"),
    ("data/images/1.jpg", "data/labels/1.txt"), ("a/b/1.jpg", "a/b/1.txt"),
    ("JPEGImages/1.jpg", "labels/1.txt"), ("a/1.jpg", "labels/a/1.txt")])
def test_where_label_files_lie(tmp_path, picture, label):
    path = str(own_folders.picture(tmp_path / picture, 1))
    source = FileSource("yolo", str(tmp_path), (), ("cat",))
    assert source.find(path) is None
    own_folders.text(tmp_path / label, "")
    own_folders.text(tmp_path / "labels" / "2.txt", "")
    assert source.find(path) == str(tmp_path / label)


def card(tmp_path, **keys):
    lines = {"format": "yolo", "root": ".", "classes": "[cat, dog]", **keys}
    path = own_folders.text(tmp_path / "pets.yml", "".join(f"{key}: {value}\n"
                                                           for key, value in lines.items()))
    return str(path)


def test_lists_folders_and_what_is_missing(tmp_path):
    own_folders.yolo_split(tmp_path, "images/a", "labels/a", range(3), ("cat", "dog"))
    own_folders.yolo_split(tmp_path, "images/b", "labels/b", range(10, 13), ("cat", "dog"))
    (tmp_path / "images/b/12.jpg").write_bytes(b"\xff\xd8\xff broken")
    names = ("\ufeffb\\10.jpg", "images/b/11 1", "10.jpg", "99.jpg", "images/b/12.jpg")
    own_folders.text(tmp_path / "more.txt", "\r\n".join(names))
    path = card(tmp_path, splits="{train: [images/a, more.txt], test: images/b}")
    imdb = get_imdb(path + ":train")
    assert imdb.image_index == [f"images/a/{number}.jpg" for number in range(3)] + [
        "images/b/10.jpg", "images/b/11.jpg"]
    messages = sorted(str(problem).replace(str(tmp_path), "") for problem in imdb.problems)
    assert [message.split(";")[0] for message in messages] == [
        "/images/b/12.jpg: cannot be decoded as an image",
        "/more.txt: image 99.jpg of split train is missing",
        f"/more.txt: names image {tmp_path}/images/b/10.jpg 2 times".replace(str(tmp_path), "")]
    strict = card(tmp_path, splits="{train: more.txt}", on_bad_image="error")
    with pytest.raises(ImageError, match="99.jpg of split train is missing; mend or remove it"):
        get_imdb(strict + ":train")


@pytest.mark.parametrize("splits, words", [
    ("{train: nowhere}", "split train needs .*/nowhere, which does not exist; splits on the card"),
    ("{train: empty.txt}", r"split train: no picture is named \(.*empty.txt\)"),
    ("{train: wrong.txt}", "split train: none of the 2 pictures named is there")])
def test_splits_without_pictures_are_refused(tmp_path, splits, words):
    own_folders.text(tmp_path / "empty.txt", "\n")
    own_folders.text(tmp_path / "wrong.txt", "a.jpg\nb.jpg\n")
    with pytest.raises(CardError, match=words):
        get_imdb(card(tmp_path, splits=splits) + ":train")


def test_a_picture_without_label_file_has_no_objects(tmp_path):
    own_folders.yolo_split(tmp_path, "images", "labels", range(3), ("cat", "dog"))
    os.remove(tmp_path / "labels/1.txt")
    imdb = get_imdb(card(tmp_path, splits="{train: images}") + ":train")
    assert [len(entry["boxes"]) for entry in imdb.gt_roidb()] == [2, 0, 1]
    assert [len(places) for what, places in imdb.notes.items() if "label file" in what] == [1]


def test_other_formats_want_a_file_for_each_picture(tmp_path):
    own_folders.labelme(tmp_path, count=3)
    os.remove(tmp_path / "1.json")
    imdb = get_imdb(card(tmp_path, format="labelme", splits="{train: .}") + ":train")
    assert [None if found is None else len(found) for found in imdb.checked_annotations().values()
            ] == [2, None, 1]
    assert "the annotation file of this picture is not there" in str(imdb.problems[0])


@pytest.mark.parametrize("keys, words", [
    ({"format": "cvat"}, 'a card of format cvat names its file in "annotations"'),
    ({"format": "csv", "splits": "{train: images}"}, "a table is needed"),
    ({"root": "[a, b]"}, "a card of format yolo has one root; received 2"),
    ({"splits": "{train: 3}"}, ":4: split train must be a list of pictures, a folder or a table"),
    ({"settings": "[1]"}, ":4: settings must map names of settings to values"),
    ({"schedule": "short"}, ':4: schedule "short" is unknown')])
def test_wrong_cards_of_own_formats(tmp_path, keys, words):
    own_folders.picture(tmp_path / "images/1.jpg", 1)
    with pytest.raises(CardError, match=words):
        get_imdb(card(tmp_path, **keys) + ":train")


def test_the_list_of_a_coco_split(tmp_path):
    own_folders.one_coco(tmp_path)
    own_folders.text(tmp_path / "some.txt", "3.jpg\nimages/5.jpg\n1.jpg\nnone.jpg\n")
    splits = "{train: {annotations: annotations.json, images: images, list: some.txt}}"
    own_folders.text(tmp_path / "c.yml", f"format: coco\nroot: .\nsplits: {splits}\n")
    assert load_card(str(tmp_path / "c.yml")).coco_list("train") == str(tmp_path / "some.txt")
    imdb = get_imdb(str(tmp_path / "c.yml"))
    assert imdb.image_index == [1, 3]
    assert [str(problem).split("some.txt: ")[1] for problem in imdb.problems] == [
        f"names image {name}, which {tmp_path}/annotations.json does not have; image left out"
        for name in ("images/5.jpg", "none.jpg")]
