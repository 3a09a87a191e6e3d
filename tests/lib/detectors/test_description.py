"""Descriptions: written beside weights, read back as they were, refused in one line when wrong."""
import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from small_detector import CLASSES, small_net, write_detector, write_weights

from caffe.core.errors import UserError
from faster_rcnn import Detector
from faster_rcnn.detectors import description_files
from faster_rcnn.detectors.archive import unpack, write_archive
from faster_rcnn.detectors.description import DescriptionError
from faster_rcnn.detectors.description_files import parsed, read_beside, text_of, weights_file
from faster_rcnn.detectors.finding import opened
from faster_rcnn.detectors.making import describe, method_of
from faster_rcnn.detectors.recording import data_names, describe_final, write_test
from faster_rcnn.networks.text import net_text
from faster_rcnn.settings.config import cfg, cfg_override
from faster_rcnn.settings.merge import merge


@pytest.fixture
def weights(tmp_path):
    return write_detector(tmp_path / "", name="small.caffemodel")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = write_detector(tmp_path_factory.mktemp("described"))
    with open(description_files.description_path(path)) as file:
        return file.read()


def test_what_is_written_is_read(weights):
    found = read_beside(weights)
    assert found.classes == CLASSES and found.method == "faster_rcnn" and found.threshold == 0.25
    assert found.all_classes == ("__background__", *CLASSES)
    assert found.net == net_text(small_net())
    assert found.weights == weights_file(weights)
    assert parsed(text_of(found), "again") == found
    with cfg_override():
        merge(dict(found.settings), cfg, lambda path: path)
        assert cfg.TEST.SCALES == (96,) and cfg.TEST.HAS_RPN
        assert np.ravel(cfg.PIXEL_MEANS).tolist() == found.settings["PIXEL_MEANS"]


def test_the_file_is_readable(text):
    lines = text.splitlines()
    assert ' "classes": [ "dark", "light" ],' in lines
    assert '   "SCALES": [ 96 ],' in lines
    assert '  "name: \\"Tiny\\"",' in lines
    anchors = json.loads(text)["anchors"]
    assert anchors == {"feat_stride": 8, "base_size": 16, "scales": [1.5, 2.5, 4, 6],
                       "ratios": [0.5, 1, 2]}


def test_every_setting_of_a_test_is_there(text):
    settings = json.loads(text)["settings"]
    assert set(settings["TEST"]) == set(cfg.TEST)
    assert set(settings) == {"TEST", "PIXEL_MEANS", "DEDUP_BOXES", "BBOX_MAX_LOG_SCALE"}


@pytest.mark.parametrize("key, value, words", [
    ("version", 2, ["version", "2", "newer"]),
    ("format", "other", ["no description"]),
    ("clases", ["a"], ["clases", "classes"]),
    ("classes", [], ["classes"]),
    ("classes", ["a", "a"], ["classes", "different"]),
    ("classes", ["__background__", "a"], ["background"]),
    ("classes", [1, 2], ["classes", "texts"]),
    ("method", "ssd", ["method", "faster_rcnn, fast_rcnn, rfcn"]),
    ("threshold", 1.5, ["threshold", "0 to 1"]),
    ("threshold", True, ["threshold"]),
    ("settings", {"TEST": {"SCALE": [600]}}, ["settings", "SCALE", "SCALES"]),
    ("settings", {"TEST": {"SCALES": "wide"}}, ["SCALES", "list"]),
    ("settings", {"TEST": {"NMS": 7}}, ["NMS", "from 0 to 1"]),
    ("settings", {"TEST": {"SOFT_NMS": "hard"}}, ["SOFT_NMS"]),
    ("settings", {"TRAIN": {"SCALES": [600]}}, ["TRAIN", "no setting of a test"]),
    ("settings", {"ROOT_DIR": "/"}, ["ROOT_DIR"]),
    ("anchors", None, ["anchors", "differ"]),
    ("weights", {"name": "../w", "bytes": 1, "sha256": "0" * 64}, ["weights", "folder"]),
    ("weights", {"name": "w", "bytes": -1, "sha256": "0" * 64}, ["weights"]),
    ("weights", {"name": "w", "bytes": 1, "sha256": "0"}, ["weights", "sha256"]),
    ("net", "layer {}", ["net", "list of texts"]),
    ("net", ["layer { nam: 'x' }"], ["here.json: net:1:", "nam"]),
    ("training", [], ["training", "mapping"])])
def test_wrong_parts_are_named(text, key, value, words):
    parts = json.loads(text)
    parts[key] = value
    with pytest.raises(UserError) as caught:
        parsed(json.dumps(parts), "here.json")
    message = str(caught.value)
    assert message.startswith("here.json") and "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("wrong", ["", "[1, 2", "null", "[]", "[" * 100_000, '{"format": 1}'])
def test_what_is_no_description(wrong):
    with pytest.raises(DescriptionError, match=r"^here\.json: no ") as caught:
        parsed(wrong, "here.json")
    assert len(str(caught.value)) < 300


def test_other_weights_are_refused(weights):
    write_weights(weights, seed=9)
    with pytest.raises(DescriptionError, match="SHA-256.*tools/describe.py"):
        read_beside(weights)


def test_a_folder_and_a_stem(weights, tmp_path):
    for path in (weights, weights.removesuffix(".caffemodel"), str(tmp_path)):
        with opened(path) as found:
            assert found.weights == weights and found.description.classes == CLASSES
    write_weights(tmp_path / "snapshot.caffemodel")     # without a description
    with opened(str(tmp_path)) as found:
        assert found.weights == weights
    write_detector(tmp_path, "other.caffemodel")
    with pytest.raises(DescriptionError, match=r"other\.caffemodel, small\.caffemodel"), \
            opened(str(tmp_path)):
        pass
    os.makedirs(tmp_path / "empty")
    with pytest.raises(DescriptionError, match="holds none"), opened(str(tmp_path / "empty")):
        pass


def test_a_folder_may_be_moved(weights, tmp_path):
    shutil.move(str(tmp_path), str(tmp_path) + "_moved")
    moved = str(tmp_path) + "_moved"
    with opened(moved) as found:
        assert found.weights == os.path.join(moved, "small.caffemodel")


def test_an_archive_holds_the_detector(weights, tmp_path):
    path = str(tmp_path / "sent.frcnn.zip")
    description = read_beside(weights)
    write_archive(description, weights, path)
    os.makedirs(tmp_path / "friend")
    shutil.move(path, tmp_path / "friend")
    with opened(str(tmp_path / "friend" / "sent.frcnn.zip")) as found:
        assert found.description == description and found.is_temporary
        assert weights_file(found.weights) == description.weights
    assert not os.path.exists(found.weights)
    assert Detector(tmp_path / "friend" / "sent.frcnn.zip", "cpu").classes == CLASSES


@pytest.mark.parametrize("name", ["other.frcnn.zip", "A.ZIP", "sent", "sent.caffemodel"])
def test_archives_may_be_renamed(weights, tmp_path, name):
    folder = tmp_path / "mail"
    folder.mkdir()
    write_archive(read_beside(weights), weights, str(folder / name))
    with opened(str(folder / name)) as found:
        assert found.is_temporary and found.description == read_beside(weights)


@pytest.mark.parametrize("changes, words", [
    ({"description.json": None}, "description.json"),
    ({"small.caffemodel": None}, "small.caffemodel"),
    ({"description.json": b"{}"}, "no description"),
    ({"description.json": b"\xff"}, "no archive"),
    ({"description.json": b" " * (description_files.MAX_BYTES + 1)}, "larger than the limit"),
    ({"small.caffemodel": b"other"}, "damaged"),
    ({"small.caffemodel": bytes(1 << 24)}, "damaged")])
def test_damaged_archives(weights, tmp_path, changes, words):
    whole = str(tmp_path / "whole.zip")
    write_archive(read_beside(weights), weights, whole)
    path = str(tmp_path / "damaged.zip")
    with zipfile.ZipFile(whole) as source, \
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = changes.get(name, source.read(name))
            if content is not None:
                target.writestr(name, content)
    with pytest.raises(DescriptionError, match=words) as caught:
        unpack(path, str(tmp_path))
    assert str(caught.value).startswith(path)
    with open(path, "wb") as file:
        file.write(b"PK no archive")
    with pytest.raises(DescriptionError, match="no archive of a detector"):
        unpack(path, str(tmp_path))


def test_anchors_that_are_set_are_among_the_settings():
    files = description_files.WeightsFile("w", 1, "0" * 64)
    assert "ANCHOR_SCALES" not in describe(small_net(), CLASSES, files).settings
    with cfg_override(ANCHOR_SCALES=(2, 3, 4, 5)):
        made = parsed(text_of(describe(small_net(), CLASSES, files)), "again")
    assert made.settings["ANCHOR_SCALES"] == [2, 3, 4, 5]       # for nets that are named (--def)


def test_what_a_net_says_of_itself():
    net = small_net()
    assert method_of(net) == "faster_rcnn"
    net.layer[-1].type = "PSROIPooling"
    assert method_of(net) == "rfcn"
    del net.layer[:]
    net.layer.add(type="Input", top=["data", "rois"])
    assert method_of(net) == "fast_rcnn"
    with cfg_override(TEST={"HAS_RPN": True}):
        made = describe(net, ("__background__", "a"), description_files.WeightsFile("w", 1, "0"))
    assert made.classes == ("a",) and made.settings["TEST"]["HAS_RPN"] is False


def test_the_names_of_data_sets():
    assert data_names("shapes_trainval") == {"train": "shapes_trainval", "test": "shapes_test"}
    assert data_names("voc_2007_trainval+voc_2012_trainval") == {
        "train": "voc_2007_trainval+voc_2012_trainval"}
    card = os.path.join(cfg.ROOT_DIR, "data", "cards", "shapes.yml")
    assert data_names(f"{card}:trainval")["test"] == f"{card}:test"


class Tested:
    name, num_images = "set_test", 3


def test_figures_of_a_test_stay_until_there_are_others(tmp_path):
    path = str(tmp_path / "final.caffemodel")
    write_weights(path)
    prototxt = tmp_path / "net.pt"
    prototxt.write_text(net_text(small_net()))

    def describe_it():
        describe_final(path, str(prototxt), CLASSES, "shapes_trainval", {"iterations": 7})

    describe_it()
    found = read_beside(path)
    assert found.test == {} and found.training == {"iterations": 7}
    metrics = {"mean_ap": 0.51239, "per_class": {"dark": {"ap": 0.5}, "light": {"ap": np.nan}}}
    write_test(path, found, Tested(), metrics, {"TEST.NMS": 0.5})
    describe_it()       # the training is resumed, and was done already
    assert read_beside(path).test == {
        "imdb": "set_test", "images": 3, "mean_ap": 0.5124, "ap": {"dark": 0.5, "light": None},
        "otherwise than described": {"TEST.NMS": 0.5}}
    write_weights(path, seed=9)
    describe_it()
    assert read_beside(path).test == {}
