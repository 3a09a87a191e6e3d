"""The record of a schedule decides what a rerun may skip."""
import json

import pytest

from faster_rcnn.runs.manifest import Manifest, ManifestError

INPUTS = {"weights": "a" * 64, "settings": "b" * 64, "iterations": 40}


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
    assert manifest.reason_to_run("one", dict(INPUTS)) is None
    assert manifest.output("one") == str(record[1])
    assert manifest.steps["one"]["figures"] == {"seconds": 1}


@pytest.mark.parametrize("changed,words", (
    ({"weights": "0" * 64}, "weights"),
    ({"data": ["c"]}, "data"),
    ({"settings": {}}, "settings"),
    ({"iterations": 60}, "iterations was 40, is 60"),
    ({"settings": {"EPS": 1, "TEST.SCALES": [400]}},
     "EPS was None, is 1; TEST.SCALES was [600], is [400]")))
def test_a_changed_input_is_named_with_its_values_unless_it_is_a_hash(record, changed, words):
    manifest = Manifest(str(record[0]), keep=True)
    if words != "settings":     # as earlier versions recorded them, by a hash
        manifest.steps["one"]["inputs"]["settings"] = {"TEST.SCALES": [600]}
        changed = {"settings": {"TEST.SCALES": [600]}, **changed}
    inputs = {**INPUTS, **changed}
    assert manifest.reason_to_run("one", inputs) == f"changed: {words}"
    manifest.steps["one"]["finished"] = False
    assert manifest.reason_to_run("one", inputs) == f"changed: {words}"


def test_many_changes_are_counted(record):
    manifest = Manifest(str(record[0]), keep=True)
    manifest.steps["one"]["inputs"]["settings"] = {f"S{i}": i for i in range(9)}
    reason = manifest.reason_to_run("one", {**INPUTS, "settings": {}})
    assert reason.startswith("changed: S0 was 0, is None; ") and reason.endswith("; 4 more")


def test_an_output_in_a_folder_or_elsewhere_is_found_again(record, tmp_path):
    inside, outside = tmp_path / "sub" / "a", tmp_path.parent / f"{tmp_path.name}_b"
    inside.parent.mkdir()
    manifest = Manifest(str(record[0]), keep=True)
    for name, path in (("in", inside), ("out", outside)):
        path.write_bytes(b"weights")
        manifest.begin(name, INPUTS)
        manifest.finish(name, str(path), {})
        assert Manifest(str(record[0]), keep=True).reason_to_run(name, INPUTS) is None
        assert Manifest(str(record[0]), keep=True).output(name) == str(path)


def test_a_lost_or_altered_output_is_named(record):
    path, output = record
    output.write_bytes(b"something else")
    assert "not the file" in Manifest(str(path), keep=True).reason_to_run("one", INPUTS)
    output.unlink()
    assert "is gone" in Manifest(str(path), keep=True).reason_to_run("one", INPUTS)


def test_a_step_under_way_is_not_done(record):
    manifest = Manifest(str(record[0]), keep=True)
    manifest.begin("two", INPUTS)
    again = Manifest(str(record[0]), keep=True)
    assert again.reason_to_run("two", INPUTS) == "not finished"
    assert again.changes("two", INPUTS) == []
    assert again.reason_to_run("three", INPUTS) == "not started"


def test_without_keep_everything_starts_over_but_only_when_something_is_written(record):
    manifest = Manifest(str(record[0]), keep=False)
    assert manifest.reason_to_run("one", INPUTS) == "not started"
    assert "one" in json.loads(record[0].read_text())["steps"]
    manifest.begin("one", INPUTS)
    assert not json.loads(record[0].read_text())["steps"]["one"]["finished"]


@pytest.mark.parametrize("text", (
    "{}", "", "[]", "7", '{"steps": []}', '{"steps": {"one": 3}}', '{"steps": {"one": {}}}',
    '{"steps": {"one": {"inputs": {}, "finished": 1}}}', "[" * 100000,
    '{"steps": {"one": {"inputs": [], "finished": false}}}',
    '{"steps": {"one": {"inputs": {}, "finished": true, "output": 3, "output_hash": "a", '
    '"figures": {}}}}'))
def test_a_damaged_record_is_refused_by_name(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(ManifestError, match="record.json is not a schedule's record"):
        Manifest(str(path), keep=True)
