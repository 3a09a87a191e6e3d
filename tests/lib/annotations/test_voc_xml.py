"""Reading VOC annotation files."""
import pytest
from voc_folder import annotation_xml, write_text

from faster_rcnn.annotations.voc_xml import AnnotationError, read_annotation
from faster_rcnn.evaluation.voc_eval import parse_rec


def test_reads_objects_as_written(tmp_path):
    objects = [("Cat ", (1, 2, 30.5, 40)), ("dog", (5, 6, 7, 8), 1)]
    path = write_text(tmp_path, "a.xml", annotation_xml(objects))
    annotation = read_annotation(path)
    assert annotation.size == (100, 80)
    cat, dog = annotation.objects
    assert (cat.number, cat.name, cat.box, cat.difficult) == (1, "Cat", (1, 2, 30.5, 40), False)
    assert (dog.number, dog.name, dog.difficult) == (2, "dog", True)


def test_parse_rec_gives_the_originals_dictionaries(tmp_path):
    path = write_text(tmp_path, "a.xml", annotation_xml([("cat", (1, 2, 30.9, 40), 1)]))
    assert parse_rec(path) == [{"name": "cat", "pose": "", "truncated": 0, "difficult": 1,
                                "bbox": [1, 2, 30, 40]}]


def test_parse_rec_names_an_object_without_box(tmp_path):
    path = write_text(tmp_path, "a.xml", annotation_xml("<object><name>cat</name></object>"))
    with pytest.raises(AnnotationError, match=r"a\.xml: object 1 \(cat\) has no bndbox"):
        parse_rec(path)


@pytest.mark.parametrize("text, words", [
    ("<annotation><object>", "not well-formed"),
    ("", "not well-formed"),
    ('<!DOCTYPE a [<!ENTITY e "x">]><annotation>&e;</annotation>', "not accepted"),
])
def test_refuses_what_is_no_plain_xml(tmp_path, text, words):
    path = write_text(tmp_path, "a.xml", text)
    with pytest.raises(AnnotationError, match=words) as raised:
        read_annotation(path)
    assert str(raised.value).startswith(path + ": ")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(AnnotationError, match="not there"):
        read_annotation(str(tmp_path / "none.xml"))


def test_unreadable_size_is_none(tmp_path):
    path = write_text(tmp_path, "a.xml", "<annotation><size><width>?</width></size></annotation>")
    assert read_annotation(path).size is None
