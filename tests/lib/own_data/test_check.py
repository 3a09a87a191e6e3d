"""The check of a data set as a whole: leaks, copies, orphans, unusual boxes, and nothing else."""
import os
import shutil

import cv2
import own_folders
import pytest

from caffe.core.errors import UserError
from faster_rcnn.own_data.alike import COPIES
from faster_rcnn.own_data.check import check
from faster_rcnn.own_data.init import init
from faster_rcnn.own_data.orphans import UNANNOTATED, UNLISTED
from faster_rcnn.own_data.unusual import ABSENT, NARROW, RARE, TINY, WHOLE


@pytest.fixture
def kangaroo(tmp_path):
    """A folder with a card, 19 pictures to train and 5 to test on."""
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    init(str(folder))
    return folder


def lists(folder):
    """The names of the training and of the test pictures."""
    return [(folder / f"kangaroo_{split}.txt").read_text().split() for split in ("train", "test")]


def add(folder, split, name):
    with open(folder / f"kangaroo_{split}.txt", "a") as file:
        file.write(name + "\n")


def findings(folder, **options):
    """What is wrong, without the folder's path."""
    return [str(problem).replace(str(folder) + os.sep, "")
            for split in check(str(folder), **options).splits for problem in split.problems]


def notes(folder):
    """{what is unusual: number of places}."""
    found = {}
    for split in check(str(folder)).splits:
        for what, places in split.notes.items():
            found[what] = found.get(what, 0) + len(places)
    return found


def test_nothing_wrong(kangaroo):
    done = check(str(kangaroo))
    assert done.verdict() == "Nothing wrong was found" and notes(kangaroo) == {}
    assert [split.imdb.name for split in done.splits] == ["kangaroo_test", "kangaroo_train"]
    assert [split.numbers["images"] for split in done.splits] == [5, 19]


def test_the_same_file_on_both_sides(kangaroo):
    name = lists(kangaroo)[1][0]
    add(kangaroo, "train", name)
    assert findings(kangaroo) == [f"{name}: is in train and in test; a test with it measures what "
                                  "was learned by heart"]
    assert findings(kangaroo, decode=False) == []


@pytest.mark.parametrize("kind, words", [("bytes", "of test has the same bytes as"),
                                         ("look", "of test looks like")])
@pytest.mark.parametrize("side", ["train", "test"])
def test_copies_on_both_sides(kangaroo, kind, words, side):
    train, test = lists(kangaroo)
    source = (test if side == "train" else train)[2]
    copy = "images/copy.jpg"
    if kind == "bytes":
        shutil.copy(kangaroo / source, kangaroo / copy)
    else:
        im = cv2.imread(str(kangaroo / source))
        cv2.imwrite(str(kangaroo / copy), cv2.resize(im, (120, 96)),
                    [cv2.IMWRITE_JPEG_QUALITY, 60])
    own_folders.text(kangaroo / "annots" / "copy.xml", own_folders.voc_xml(
        [("kangaroo", 3, 4, 50, 60)], size=(100, 80) if kind == "bytes" else (120, 96)))
    add(kangaroo, side, copy)
    learned, tested = (copy, source) if side == "train" else (source, copy)
    [line] = findings(kangaroo)
    assert line.startswith(f"{tested}: {words} {learned} of train; a test")


def test_copies_in_one_split(kangaroo):
    source = lists(kangaroo)[0][3]
    shutil.copy(kangaroo / source, kangaroo / "images" / "zcopy.jpg")
    own_folders.text(kangaroo / "annots" / "zcopy.xml",
                     own_folders.voc_xml([("kangaroo", 3, 4, 50, 60)]))
    add(kangaroo, "train", "images/zcopy.jpg")
    assert findings(kangaroo) == [] and notes(kangaroo) == {COPIES: 1}
    assert check(str(kangaroo)).verdict() == "Nothing wrong was found; 1 thing is worth a look"


def test_orphans(kangaroo):
    own_folders.text(kangaroo / "annots" / "alone.xml", own_folders.voc_xml([]))
    own_folders.picture(kangaroo / "images" / "new.jpg", 99)
    own_folders.picture(kangaroo / "images" / "drawn.jpg", 98)
    own_folders.text(kangaroo / "annots" / "drawn.xml", own_folders.voc_xml([]))
    assert findings(kangaroo) == [
        "annots/alone.xml: is an annotation file without a picture; not used"]
    assert notes(kangaroo) == {UNANNOTATED: 1, UNLISTED: 1}
    assert check(str(kangaroo)).verdict() == "1 finding; 2 things are worth a look"


def test_a_missing_picture_is_named_once(kangaroo):
    name = lists(kangaroo)[0][0]
    os.remove(kangaroo / name)
    assert findings(kangaroo) == [
        f"kangaroo_train.txt: image {name} of split train is missing; image left out"]


def test_boxes_that_are_unusual_or_there_twice(kangaroo):
    name = lists(kangaroo)[0][0]
    path = kangaroo / "annots" / os.path.basename(name).replace(".jpg", ".xml")
    box = ("kangaroo", 10, 10, 40, 40)
    own_folders.text(path, own_folders.voc_xml([
        box, ("kangaroo", 0, 0, 99, 79), ("kangaroo", 5, 5, 9, 40), ("kangaroo", 5, 50, 95, 57),
        box, box]))
    assert findings(kangaroo) == [
        f"{name}: has the box 10, 10, 40, 40 (kangaroo) 3 times; used as often"]
    assert notes(kangaroo) == {TINY: 1, WHOLE: 1, NARROW: 1}


def test_rare_and_absent_classes(tmp_path):
    folder = own_folders.ultralytics(tmp_path / "pets", ("cat", "dog", "newt"))
    cats = "".join(f"0 0.5 0.{10 + i} 0.3 0.2\n" for i in range(80))
    own_folders.text(folder / "labels/train/0.txt", "2 0.4 0.4 0.3 0.3\n" + cats)
    for split in ("train", "val"):
        for number in range(1, 24):
            path = folder / f"labels/{split}/{number}.txt"
            if path.exists():
                own_folders.text(path, f"0 0.{30 + number} 0.5 0.4 0.4\n")
    init(str(folder))
    assert notes(folder) == {ABSENT: 3, RARE: 1}    # dog in both, newt in val; newt in train


def test_labels_without_pictures_of_yolo_but_not_its_names(tmp_path):
    folder = own_folders.ultralytics(tmp_path / "pets")
    own_folders.text(folder / "labels/classes.txt", "cat\ndog\n")
    os.remove(folder / "images/train/3.jpg")
    assert findings(folder) == [
        "labels/train/3.txt: is an annotation file without a picture; not used"]


def test_a_split_alone_and_what_cannot_be_checked(kangaroo):
    [split] = check(f"{kangaroo}:test").splits
    assert split.imdb.name == "kangaroo_test"
    with pytest.raises(UserError, match="Unknown dataset: nonsense"):
        check("nonsense")
