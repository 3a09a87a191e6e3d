"""Folders, FIFOs and dangling links where a file should be: one line, and no waiting."""
import os

import pytest

import caffe
from caffe.core.errors import CaffeError
from caffe.core.regular_files import open_regular
from caffe.files import hdf5, images, prototxt, weights, window_files

READERS = [prototxt.read_net, prototxt.read_solver, weights.read_weights, weights.read_state,
           weights.read_binaryproto, hdf5.read_weights, lambda path: hdf5.read_datasets(path, "a"),
           images.read_image_list, images.read_image, window_files.read_window_file,
           caffe.io.load_image, caffe.SGDSolver, lambda path: caffe.Net(path, caffe.TEST)]


@pytest.fixture(params=["folder", "FIFO", "link", "device", "nothing"])
def place(request, tmp_path):
    """(path, what the message must say)"""
    path = tmp_path / "x.txt"
    if request.param == "folder":
        path.mkdir()
    elif request.param == "FIFO":
        os.mkfifo(path)
    elif request.param == "link":
        path.symlink_to(tmp_path / "gone")
    elif request.param == "device":
        path = "/dev/null"
    return str(path), {"folder": "it is a folder, expected a file", "FIFO": "it is a FIFO",
                       "link": f"it is a link to {tmp_path / 'gone'}, which does not exist",
                       "device": "it is a device", "nothing": "No such file"}[request.param]


@pytest.mark.parametrize("reader", READERS)
def test_readers(reader, place):
    path, says = place
    with pytest.raises(CaffeError) as caught:
        reader(path)
    assert path in str(caught.value) and says in str(caught.value), caught.value
    assert "\n" not in str(caught.value)


def test_a_name_with_a_zero_byte():
    with pytest.raises(OSError, match="null (byte|character)"):
        open_regular("a\0b")


def test_links_to_files_are_followed(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link", "r") as file:
        assert file.read() == "x"
