"""What the command line of an export says: data sets with a number of images, wrong pairs."""
from argparse import Namespace

import pytest

from faster_rcnn.commands.exports import choices
from faster_rcnn.commands.start import OptionError

PLAIN = {"fp16": False, "quantize": None, "calibrate": None, "blobs": False, "check": None,
         "imdb_name": None}


@pytest.fixture(autouse=True)
def data_sets(monkeypatch):
    def found(name, *splits):
        return Namespace(name=name, num_images=7)
    monkeypatch.setattr(choices, "get_imdb", found)


@pytest.mark.parametrize("text, name, count", [
    ("cells_test", "cells_test", 5), ("cells_test:3", "cells_test", 3), (":2", "known", 2),
    ("cells_test:0", "cells_test", 7), ("cells_test:99", "cells_test", 7), ("", "known", 5),
    ("my/card.yml:test", "my/card.yml:test", 5), ("my/card.yml:test:4", "my/card.yml:test", 4)])
def test_a_data_set_and_how_many_of_its_images(text, name, count):
    imdb, images = choices.images_of(text, 5, "known")
    assert (imdb.name, images) == (name, count)


@pytest.mark.parametrize("options, words", [
    ({"fp16": True, "quantize": "int8", "calibrate": "a"}, "two ways"),
    ({"quantize": "int8"}, "needs --calibrate"), ({"calibrate": "a"}, "needs --calibrate"),
    ({"blobs": True, "check": "a"}, "without --blobs"), ({"check": ""}, "needs a data set")])
def test_options_that_do_not_go_together(options, words):
    with pytest.raises(OptionError, match=words):
        choices.check_options(Namespace(**{**PLAIN, **options}))


def test_options_that_do():
    choices.check_options(Namespace(**PLAIN))
    choices.check_options(Namespace(**{**PLAIN, "quantize": "int8", "calibrate": "a"}))


def test_classes_of_the_command_line_come_first():
    described = Namespace(description=Namespace(all_classes=["__background__", "cat"]))
    args = Namespace(classes=["dog"], imdb_name=None)
    assert choices.known_classes(args, described) == ["__background__", "dog"]
    args.classes = None
    assert choices.known_classes(args, described) == ["__background__", "cat"]
    assert choices.known_classes(args, Namespace(description=None)) is None
