"""`input`, `input_dim` and `input_shape` of old nets, as Caffe's UpgradeNetInput reads them."""
import logging

import numpy as np
import pytest

import caffe
from caffe.core.errors import LayerError, PrototxtError
from caffe.files.prototxt import read_net_text

INPUT_LAYER = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
RELU = 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'


def shapes(text):
    [layer, *_] = read_net_text(text).layer
    return [list(shape.dim) for shape in layer.input_param.shape]


def test_input_shape_takes_precedence_over_input_dim():
    dims = "input_dim: 9 input_dim: 9 input_dim: 9 input_dim: 9"
    assert shapes(f'input: "x" {dims} input_shape {{ dim: 2 dim: 3 }}') == [[2, 3]]


def test_a_bare_input_beside_an_input_layer_is_dropped(tmp_path):
    (tmp_path / "n.prototxt").write_text(f'input: "x" {INPUT_LAYER} {RELU}')
    net = caffe.Net(str(tmp_path / "n.prototxt"), caffe.TEST)
    net.blobs["x"].data[...] = -1
    assert np.array_equal(net.forward()["y"], np.zeros((2, 3)))


def test_a_bare_input_alone(tmp_path):
    (tmp_path / "n.prototxt").write_text(f'input: "x" {RELU}')
    with pytest.raises(LayerError, match='no layer above it has the top "x"'):
        caffe.Net(str(tmp_path / "n.prototxt"), caffe.TEST)


def test_dimensions_without_an_input_are_ignored():
    assert [layer.name for layer in read_net_text(f"input_dim: 1 {INPUT_LAYER}").layer] == ["in"]


def test_more_than_needed(caplog):
    caplog.set_level(logging.WARNING)
    assert shapes('input: "x" input_shape { dim: 2 } input_shape { dim: 3 }') == [[2]]
    assert shapes('input: "x"' + " input_dim: 7" * 8) == [[7] * 4]
    assert "1 input(s) need 4 input_dim numbers, 8 are given" in caplog.text


def test_less_than_needed():
    with pytest.raises(PrototxtError, match="2 input.s. need 8 input_dim numbers, 4 are given"):
        read_net_text('input: "x" input: "y"' + " input_dim: 7" * 4)
