"""Files that are whole or not there."""
import json
import os

import pytest

from caffe.files import atomic


def test_writers(tmp_path):
    path = tmp_path / "file"
    atomic.write_bytes(path, b"\0\xff")
    assert path.read_bytes() == b"\0\xff"
    atomic.write_text(str(path), "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    atomic.write_json(path, {"a": [1]})
    assert json.loads(path.read_text()) == {"a": [1]}
    atomic.copy_file(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == path.read_text()
    assert sorted(os.listdir(tmp_path)) == ["copy", "file"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    old = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "file", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_failure_leaves_the_older_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("older")
    with pytest.raises(RuntimeError), atomic.atomic_open(path) as file:
        file.write("half")
        file.flush()
        assert path.read_text() == "older" and len(os.listdir(tmp_path)) == 2
        raise RuntimeError
    assert path.read_text() == "older" and os.listdir(tmp_path) == ["file"]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    for path in (tmp_path / "nowhere" / "file", tmp_path):     # no folder; a folder itself
        with pytest.raises(OSError) as caught, atomic.replacing(path):
            pass
        assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []
