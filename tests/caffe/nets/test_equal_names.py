"""Two layers of one name: said when the net is built, and each keeps its own weights."""
import logging

import numpy as np
import pytest
from net_texts import fc, input_layer, layer, net

import caffe
from caffe.files import weights


def twins(*more):
    """A net with two InnerProduct layers called "fc", of different shapes or of the same."""
    second = fc("c", "a", 3).replace('name: "c"', 'name: "a"')
    return net(input_layer("x", 1, 3), fc("a", "x", 3), second, *more)


def blobs(built):
    return [blob.data for runner in built._runners for blob in runner.blobs]


def fill(built):
    for i, array in enumerate(blobs(built)):
        array[...] = i + np.arange(array.size).reshape(array.shape)


def test_the_net_says_so(caplog):
    caplog.set_level(logging.WARNING)
    twins()
    [record] = caplog.records
    text = record.getMessage()
    assert "(InnerProduct)" in text and 'the same name "a"' in text and "rename" in text


def test_equal_names_without_weights_are_no_matter(caplog):
    caplog.set_level(logging.WARNING)
    net(input_layer("x", 1, 3), layer("r", "ReLU", "x", "y"), layer("r", "ReLU", "y", "z"))
    assert not caplog.records


def test_each_keeps_its_weights_after_save_and_load(tmp_path):
    built, other = twins(), twins()
    fill(built)
    built.save(tmp_path / "w")
    report = other.copy_from(tmp_path / "w")
    for mine, theirs in zip(blobs(other), blobs(built)):
        np.testing.assert_array_equal(mine, theirs)
    assert report.copied == ["a", "a"] and not report.missing and not report.ignored_source


def test_test_nets_share_the_right_ones():
    built, other = twins(), twins()
    fill(built)
    other.share_with(built)
    for mine, theirs in zip(blobs(other), blobs(built)):
        assert mine is theirs or np.array_equal(mine, theirs)


def test_otherwise_caffes_rule(tmp_path):
    """One layer in the net, two in the file: the last one; the reverse: the first one."""
    arrays = [np.full((3, 3), n, np.float32) for n in (1, 2)]
    bias = np.zeros(3, np.float32)
    weights.write_weights(tmp_path / "two", "n", [("a", "InnerProduct", [array, bias])
                                                  for array in arrays])
    single = net(input_layer("x", 1, 3), fc("a", "x", 3))
    single.copy_from(tmp_path / "two")
    assert (single.params["a"][0].data == 2).all()
    weights.write_weights(tmp_path / "one", "n", [("a", "InnerProduct", [arrays[0], bias])])
    built = twins()
    fill(built)
    before = [array.copy() for array in blobs(built)]
    report = built.copy_from(tmp_path / "one")
    assert (blobs(built)[0] == 1).all() and np.array_equal(blobs(built)[2], before[2])
    assert report.copied == ["a"] and report.missing == ["a"]


def test_hdf5_cannot_hold_them(tmp_path):
    with pytest.raises(caffe.CaffeError, match='cannot hold two layers of the name "a"'):
        twins().save_hdf5(str(tmp_path / "w.h5"))
    assert not list(tmp_path.iterdir())
