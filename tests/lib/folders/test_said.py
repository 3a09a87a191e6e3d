"""Nothing is dropped silently: what cannot be used is named, and where nothing can, why."""
import json
import os
import unicodedata

import own_folders
import own_tables
import pytest
from own_folders import objects_of, picture, text, voc_xml, yolo_line

from faster_rcnn.annotations.csv_tables import read_csv
from faster_rcnn.datasets.cards import CardError, load_card
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.datasets.samples.pictures import FolderError
from faster_rcnn.folders.look import look
from faster_rcnn.program.data import Data

NAMES = ("cat", "dog")


def sentences(folder):
    return "\n".join(look(str(folder)).sentences)


def count(folder):
    return sum(len(entry["boxes"]) for use in ("train", "test")
               for entry in get_imdb(str(folder), use).gt_roidb())


def expected(numbers):
    return sum(len(objects_of(number, NAMES)) for number in numbers)


def csv_rows(numbers, name="images/{}.jpg"):
    return [(name.format(number), x1, y1, x2 + 1, y2 + 1, label) for number in numbers
            for label, x1, y1, x2, y2 in objects_of(number, NAMES)]


# ------------------------------------------------------------------- pictures that are not there

def test_pictures_that_a_table_names_and_that_are_not_there(tmp_path):
    for number in range(8):
        picture(tmp_path / "images" / f"{number}.jpg", number)
    text(tmp_path / "labels.csv", own_tables.rows_as_csv(csv_rows(range(11))))
    assert ("labels.csv names 3 pictures that cannot be found, such as images/8.jpg, which is not "
            "there: left out") in sentences(tmp_path)
    assert count(tmp_path) == expected(range(8))
    assert any("names 3 pictures" in str(problem) for problem in get_imdb(str(tmp_path)).problems)


def test_pictures_of_one_name_in_several_folders(tmp_path):
    for number in range(8):
        picture(tmp_path / "a" / f"{number}.jpg", number)
    picture(tmp_path / "b" / "3.jpg", 33)
    text(tmp_path / "labels.csv", own_tables.rows_as_csv(csv_rows(range(8), "{}.jpg")))
    assert ("1 picture that cannot be found, such as 3.jpg, which is there 2 times (a/3.jpg, "
            "b/3.jpg); say its folder as well: left out") in sentences(tmp_path)


def test_pictures_that_coco_names_and_that_are_not_there(tmp_path):
    folder = own_folders.one_coco(tmp_path / "pets")
    for number in (2, 5):
        (folder / "images" / f"{number}.jpg").unlink()
    assert ("annotations.json names 2 pictures that cannot be found, such as 2.jpg, which is not "
            "there: left out") in sentences(folder)
    assert count(folder) == expected(set(range(12)) - {2, 5})


def test_pictures_of_a_folder_that_is_not_there_are_not_those_of_another(tmp_path):
    content = own_folders.coco_content(range(6), NAMES)
    for image in content["images"]:
        image["file_name"] = f"a/{image['file_name']}"
        picture(tmp_path / image["file_name"], image["id"])
    lost = [{**image, "id": 100 + image["id"], "file_name": f"b{image['file_name'][1:]}"}
            for image in content["images"]]
    content["annotations"] += [{**obj, "id": 1000 + obj["id"], "image_id": 100 + obj["image_id"]}
                               for obj in content["annotations"]]
    text(tmp_path / "all.json", json.dumps({**content, "images": content["images"] + lost}))
    assert "names 6 pictures that cannot be found, such as b/" in sentences(tmp_path)
    assert count(tmp_path) == expected(range(6))


def test_rows_of_a_folder_that_is_not_there_are_not_those_of_another(tmp_path):
    for number in range(6):
        picture(tmp_path / "a" / f"{number}.jpg", number)
    rows = csv_rows(range(6), "a/{}.jpg") + csv_rows(range(6), "b/{}.jpg")
    text(tmp_path / "labels.csv", own_tables.rows_as_csv(rows))
    assert "names 6 pictures that cannot be found, such as b/0.jpg" in sentences(tmp_path)
    assert count(tmp_path) == expected(range(6))


def test_files_that_are_not_used_are_named(tmp_path):
    folder = own_folders.one_coco(tmp_path / "pets")
    for number in range(30, 33):
        picture(folder / "images" / f"{number}.jpg", number)
    text(folder / "more.json", json.dumps(own_folders.coco_content(range(30, 33), NAMES)))
    text(folder / "broken.json", '{"images": [')
    said = sentences(folder)
    assert "more.json (3 pictures) is not used" in said
    assert "broken.json:1:13: not well-formed JSON" in said


def test_all_tables_of_pictures_are_used(tmp_path):
    for number in range(12):
        picture(tmp_path / "images" / f"{number}.jpg", number)
    for name, numbers in (("a", range(7)), ("b", range(7, 12)), ("c", range(2, 4))):
        text(tmp_path / f"{name}.csv", own_tables.rows_as_csv(csv_rows(numbers)))
    assert look(str(tmp_path)).content["annotations"] == ["a.csv", "b.csv"]
    assert "the table c.csv is not used" in sentences(tmp_path)
    assert count(tmp_path) == expected(range(12))


def test_annotations_that_cannot_be_read_are_counted(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    text(folder / "annots" / "00003.xml", "<annotation><object>")
    assert ("1 of the annotations cannot be read, and their pictures are left out, such as "
            f"{folder}/annots/00003.xml: not well-formed XML") in sentences(folder)
    for path in (folder / "annots").iterdir():
        text(path, "<annotation><object>")
    with pytest.raises(FolderError, match="name no object; 24 cannot be read, such as .*XML"):
        look(str(folder))


def test_pictures_of_kinds_that_are_not_read_are_counted(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    (folder / "images" / "00002.jpg").rename(folder / "images" / "00002.heic")
    assert "a kind that is not read (.heic), images/00002.heic, is left out" in sentences(folder)


def test_names_of_files_that_are_no_text(tmp_path):
    """As archives of other systems leave them; OpenCV crashes on such paths."""
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    for place in ("images/00002.jpg", "annots/00002.xml"):
        path = os.fsencode(folder / place)
        os.rename(path, path.replace(b"00002", b"caf\xe9"))
    assert ("2 files are left out, since their names are no text in UTF-8, such as "
            "'annots/caf\\udce9.xml'; rename them") in sentences(folder)
    assert get_imdb(str(folder)).num_images + get_imdb(str(folder), "test").num_images == 23
    with pytest.raises(FolderError, match="the name of the folder is no text"):
        os.mkdir(os.fsencode(tmp_path) + b"/\xe9")
        look(f"{tmp_path}/\udce9")


# ---------------------------------------------------------------------------- names of many kinds

def test_coco_names_of_other_machines(tmp_path):
    folder = own_folders.one_coco(tmp_path / "pets")
    for prefix in ("images\\", "..\\images\\", "C:\\pets\\images\\", "/home/me/pets/"):
        text(folder / "annotations.json",
             json.dumps(own_folders.coco_content(range(12), NAMES, prefix)))
        (folder / "pets.yml").unlink(missing_ok=True)
        assert count(folder) == expected(range(12)), prefix


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_letters_with_accents_as_macos_writes_them(tmp_path, forms):
    of_picture, of_label = (lambda text, form=form: unicodedata.normalize(form, text)
                            for form in forms)
    for number in range(8):
        picture(tmp_path / "a" / of_picture(f"Über{number}.jpg"), number)
        text(tmp_path / "b" / of_label(f"Über{number}.xml"), voc_xml(objects_of(number, NAMES)))
    assert count(tmp_path) == expected(range(8))
    (tmp_path / f"{tmp_path.name}.yml").unlink()
    text(tmp_path / "labels.csv",
         own_tables.rows_as_csv(csv_rows(range(8), of_label("Über{}.jpg"))))
    assert look(str(tmp_path), "csv").sentences[0].startswith(f"{tmp_path}: 8 pictures; 8 with")


def test_the_backgrounds_name_is_no_class(tmp_path):
    for number in range(8):
        picture(tmp_path / "a" / f"{number}.jpg", number)
        text(tmp_path / "b" / f"{number}.xml",
             voc_xml([("__background__", 1, 1, 9, 9), *objects_of(number, NAMES)]))
    assert "8 objects are left out, since no class can be called '__background__'" in sentences(
        tmp_path)
    assert count(tmp_path) == expected(range(8))


def test_yolos_numbers_count_the_background(tmp_path):
    folder = own_folders.ultralytics(tmp_path / "pets", ("__background__", "cat"))
    imdb = get_imdb(str(folder))
    assert imdb.classes == ("__background__", "background", "cat")
    roidb = imdb.gt_roidb()
    name = os.path.basename(imdb.image_path_at(0)).removesuffix(".jpg")
    names = [imdb.classes[number] for number in roidb[0]["gt_classes"]]
    assert names == [box[0] for box in objects_of(int(name), ("background", "cat"))]


def test_yolos_numbers_count_names_with_invisible_characters(tmp_path):
    folder = own_folders.ultralytics(tmp_path / "pets", ("\u200b__cat__", "dog"))
    assert get_imdb(str(folder)).classes == ("__background__", "__cat__", "dog")


def test_names_of_classes_in_several_lines(tmp_path):
    folder = own_folders.kangaroo(tmp_path / "kangaroo")
    for path in (folder / "annots").iterdir():
        path.write_text(path.read_text().replace("<name>kangaroo", "<name>\n  grey \n kangaroo"))
    assert load_card(get_imdb(str(folder)).card.path).classes == ("grey   kangaroo",)


def test_darknets_names_and_label_files_with_a_byte_order_mark(tmp_path):
    for number in range(8):
        picture(tmp_path / f"{number}.jpg", number)
        text(tmp_path / f"{number}.txt", "".join(
            yolo_line(box, NAMES) + "\r\n" for box in objects_of(number, NAMES)), "utf-8-sig")
    text(tmp_path / "_darknet.labels", "cat\ndog\n")
    assert get_imdb(str(tmp_path)).classes[1:] == NAMES and count(tmp_path) == expected(range(8))


def test_tables_with_decimal_commas(tmp_path):
    path = text(tmp_path / "a.csv", "image;label;x1;y1;x2;y2\na.jpg;cat;1,5;2;30,25;40\n")
    assert read_csv(str(path)).annotations["a.jpg"].objects[0].box == (1.5, 2, 30.25, 40)


# --------------------------------------------------------------------- folders without anything

def files(tmp_path, names, content=""):
    for name in names:
        text(tmp_path / name, content)
    return tmp_path


def pictures(tmp_path, pattern="{}.jpg"):
    for number in range(4):
        picture(tmp_path / pattern.format(number), number)
    return tmp_path


NOTHING = {
    "the folder is empty": lambda path: path,
    "an archive, a.zip; unpack it": lambda path: files(path, ["a.zip"]),
    r"\(.heic\), a.heic, is left out; convert": lambda path: files(path, ["a.heic"]),
    "those inside LabelMe's JSON are not read":
        lambda path: files(path, ["a.json"], '{"imageData": "abc"}'),
    r"no pictures \(.jpg, .*put them into the same folder": lambda path: files(path, ["a.xml"]),
    "there are only pictures; a detector": lambda path: pictures(path, "cats/{}.jpg"),
    "ann.json has the form of Supervisely's JSON; it is not read: export":
        lambda path: files(pictures(path), ["ann.json"], '{"objects": [{"classTitle": "cat"}]}'),
    "a.txt has the form of KITTI's": lambda path: files(
        pictures(path), ["a.txt"], "Car 0.00 0 -1.57 1.0 2.0 3.0 4.0 1.5 1.6 3.4 1 2 3 0.1\n"),
    r"its 4 .xml files have other names than the pictures \(ann/l0.xml, 0.jpg\)":
        lambda path: files(pictures(path), [f"ann/l{i}.xml" for i in range(4)], voc_xml([])),
    "labels.csv:1: neither names of columns .* but image, label, x, y, w, h":
        lambda path: files(pictures(path), ["labels.csv"], "image,label,x,y,w,h\n0.jpg,a,1,2,3,4"),
    "labels.csv names 1 picture that cannot be found, such as 9.jpg, which is not there":
        lambda path: files(pictures(path), ["labels.csv"], "9.jpg,1,2,30,40,cat\n"),
    "a.json:1:13: not well-formed JSON": lambda path: files(
        pictures(path), ["a.json"], '{"images": ['),
    "a.json: a file of COCO's form without a box": lambda path: files(pictures(path), ["a.json"], (
        '{"images": [{"id": 1, "file_name": "0.jpg"}], "annotations": [], "categories": []}')),
    "tracks of a video; export the task as": lambda path: files(
        pictures(path), ["a.xml"], '<annotations><track id="0"></track></annotations>'),
    "data.yaml: kpt_shape: the label files hold key points": lambda path: files(files(
        pictures(path), ["0.txt"], "0 .5 .5 .1 .1 .5 .5 .4 .4"), ["data.yaml"],
        "names: [cat]\nnc: 1\nkpt_shape: [2, 2]\n"),
}


@pytest.mark.parametrize("words", NOTHING)
def test_why_there_is_nothing_to_train_on(tmp_path, words):
    with pytest.raises(FolderError, match=words) as error:
        look(str(NOTHING[words](tmp_path)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name, words", [
    ("pets.zip", "is not a folder but an archive; unpack it"), ("nothing", "nothing of this name"),
    ("a.jpg", "name the folder that holds the pictures")])
def test_what_is_no_folder(tmp_path, name, words):
    files(tmp_path, ["pets.zip", "a.jpg"])
    for use in (look, get_imdb, Data.of):
        with pytest.raises(FolderError, match=words):
            use(str(tmp_path / name))


def test_a_word_that_is_neither_a_folder_nor_a_data_set():
    with pytest.raises(CardError, match="neither a folder nor a data set card \"petz\""):
        Data.of("petz")
