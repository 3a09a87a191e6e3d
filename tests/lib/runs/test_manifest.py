"""The record of a schedule decides what a rerun may skip."""
import json

import pytest

from faster_rcnn.runs.manifest import Manifest

INPUTS = {"weights": "a", "settings": "b"}


@pytest.fixture
def record(tmp_path):
    """(path of a record with one finished step, path of the step's output)."""
    output = tmp_path / "model.caffemodel"
    output.write_bytes(b"weights")
    manifest = Manifest(str(tmp_path / "record.json"), keep=False)
    manifest.begin("one", INPUTS)
    manifest.finish("one", str(output), {"seconds": 1})
    return tmp_path / "record.json", output


def test_a_finished_step_with_equal_inputs_is_done(record):
    manifest = Manifest(str(record[0]), keep=True)
    assert manifest.difference("one", dict(INPUTS)) is None
    assert manifest.output("one") == str(record[1])
    assert manifest.steps["one"]["figures"] == {"seconds": 1}


@pytest.mark.parametrize("inputs,changed", (({"weights": "x", "settings": "b"}, "weights"),
                                            ({"weights": "a"}, "settings"),
                                            (dict(INPUTS, data="c"), "data")))
def test_a_changed_input_is_named(record, inputs, changed):
    assert Manifest(str(record[0]), keep=True).difference("one", inputs) == f"changed: {changed}"


def test_a_lost_or_altered_output_is_named(record):
    path, output = record
    output.write_bytes(b"something else")
    assert "not the file" in Manifest(str(path), keep=True).difference("one", INPUTS)
    output.unlink()
    assert "is gone" in Manifest(str(path), keep=True).difference("one", INPUTS)


def test_a_step_under_way_is_not_done(record):
    manifest = Manifest(str(record[0]), keep=True)
    manifest.begin("two", INPUTS)
    again = Manifest(str(record[0]), keep=True)
    assert again.difference("two", INPUTS) == "not finished"
    assert again.changed_inputs("two", INPUTS) == []
    assert again.difference("three", INPUTS) == "not finished"


def test_without_keep_everything_starts_over_but_only_when_something_is_written(record):
    manifest = Manifest(str(record[0]), keep=False)
    assert manifest.difference("one", INPUTS) == "not finished"
    assert "one" in json.loads(record[0].read_text())["steps"]
    manifest.begin("one", INPUTS)
    assert not json.loads(record[0].read_text())["steps"]["one"]["finished"]


def test_a_damaged_record_is_refused_by_name(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="record.json"):
        Manifest(str(path), keep=True)
