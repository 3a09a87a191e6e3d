"""Texts as names of files: what file systems refuse is replaced, long ones are shortened."""
import pytest

from faster_rcnn.files.naming import MAX_BYTES, file_name


@pytest.mark.parametrize("text, name", [
    ("traffic light", "traffic light"), ("a/b", "a%2Fb"), ("100%", "100%25"),
    ("Kätzchen", "Kätzchen")])
def test_characters(text, name):
    assert file_name(text) == name


@pytest.mark.parametrize("letter", ["x", "ä", "犬", "/", "\udcff"])
def test_long_texts_are_shortened_and_stay_different(letter):
    names = [file_name(letter * length) for length in (150, 200)]
    assert all(len(name.encode("utf-8", "surrogateescape")) <= MAX_BYTES for name in names)
    assert names[0] != names[1]
