"""files.safe_yaml: plain data with their lines; limits and damage are named in one line."""
import datetime

import pytest

from faster_rcnn.files import safe_yaml
from faster_rcnn.files.safe_yaml import YamlError


def test_values_and_the_lines_of_their_keys():
    text = "a: 1e-3\nb:\n  c: !!python/tuple [1, 2]\n  d: 2020-01-02\n"
    assert safe_yaml.load(text) == {"a": 0.001, "b": {"c": (1, 2), "d": datetime.date(2020, 1, 2)}}
    assert safe_yaml.key_lines(text) == {"a": 1, "b": 2, "b.c": 3, "b.d": 4}
    assert safe_yaml.load("") is None and safe_yaml.key_lines("") == {}


def test_aliases_and_merges_are_read():
    text = "base: &base {x: 1}\nmore: {<<: *base, y: 2}\nlist: [*base, *base]\n"
    assert safe_yaml.load(text)["more"] == {"x": 1, "y": 2}
    assert safe_yaml.load(text)["list"] == [{"x": 1}, {"x": 1}]


def laughs(form):
    """Ten levels, each of ten aliases of the one before: 10 billion values."""
    lines = ["a0: &a0 {x: 1}"]
    for i in range(1, 11):
        lines.append(form.format(i=i, aliases=", ".join([f"*a{i - 1}"] * 10)))
    return "\n".join(lines)


@pytest.mark.parametrize("text, words", [
    ("a: [1", r"f\.yml:1:6: expected"), ("a: !!python/object/apply:os.system ['x']",
                                         r"f\.yml:1:4: could not determine a constructor"),
    ("a: &a [*a]", r"f\.yml:1:4: a value that contains itself"),
    ("&a {b: {c: *a}}", "a value that contains itself"),
    ("[" * 100_000, "nested too deeply"), ("{a: " * 100_000, "nested too deeply"),
    ("- " * 100_000, "nested too deeply"),
    (laughs("a{i}: &a{i} [{aliases}]"), "more than 20000 values"),
    (laughs("a{i}: &a{i} {{<<: [{aliases}]}}"), "more than 20000 values"),
    ("[" + "1, " * 20_001 + "]", "more than 20000 values"),
    ("#" * (5 << 20), "5242880 characters, which is more than the limit"),
    ("a: 2020-13-45", "a value that cannot be read"), ("a: !!bool maybe", "cannot be read"),
    ("a: !!timestamp x", "cannot be read"), ("a: !!int ''", "cannot be read"),
    ("a: " + "1" * 5000, "cannot be read"), ("{[1]: 2}", "unhashable"), ("a: \x07", "f.yml"),
    ("a: *b", "undefined alias")])
def test_what_cannot_be_read_is_named(text, words):
    for read in (safe_yaml.load, safe_yaml.key_lines):
        with pytest.raises(YamlError, match=words) as caught:
            read(text, "f.yml")
        assert str(caught.value).startswith("f.yml") and "\n" not in str(caught.value)
