"""No name of a net becomes code of its PyTorch source: only the names in it change."""
import ast

import numpy as np
import pytest
import torch
from hostile import NAMES

import caffe
from caffe.export.part import select
from caffe.export.source.program import module_of
from caffe.export.source.scope import number
from caffe.export.source.writing import source_of, text_of
from caffe.proto.caffe_pb2 import NetParameter


def message(net_name, names):
    """A net of three layers and four blobs with seven names, one of which is the net's."""
    first, second, third, data, one, two, top = names
    net = NetParameter(name=net_name, input=[data])
    net.input_shape.add(dim=[1, 4, 5, 6])
    layer = net.layer.add(name=first, type="Convolution", bottom=[data], top=[one])
    layer.convolution_param.num_output = 4
    layer.convolution_param.kernel_size.append(1)
    layer.convolution_param.weight_filler.type = "xavier"
    layer = net.layer.add(name=second, type="PReLU", bottom=[one], top=[two])
    net.layer.add(name=third, type="Eltwise", bottom=[data, one, two], top=[top])
    return net


def plain(text):
    """The syntax of a file without its names, with the number of its statements by lines."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "value"):
            if isinstance(getattr(node, field, None), str):
                setattr(node, field, "")
    return ast.dump(tree)


def seven(name):
    return [f"{name}{end}" for end in ("", "1", "2", "3", "4", "5", "6")]


USUAL = message("usual", seven("usual"))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_change_nothing_but_names(name):
    names = seven(name)
    net = caffe.Net(message(name, names), caffe.TEST)
    text, usual = (text_of(source_of(each, select(each)), f"{name}.pth", f"The net {name}.")
                   for each in (net, caffe.Net(USUAL, caffe.TEST)))
    assert plain(text) == plain(usual)
    net.blobs[names[3]].data[...] = np.random.default_rng(0).normal(0, 1, (1, 4, 5, 6))
    data = torch.from_numpy(net.blobs[names[3]].data.copy())
    with torch.no_grad():
        found = module_of(net, select(net))(data)
    net.forward()
    np.testing.assert_allclose(found, net.blobs[names[6]].data, rtol=1e-5, atol=1e-6)


def test_the_same_name_for_everything():
    for name in NAMES:
        names = [name, name + "!", name + "?", name, name + "!", name + "?", name + "."]
        net = caffe.Net(message(name, names), caffe.TEST)
        assert len(list(module_of(net, select(net)).children())) == 2


def test_numbers_that_are_none():
    values = [number(value) for value in (float("inf"), float("-inf"), float("nan"), 0.25, -1)]
    assert values == ['float("inf")', 'float("-inf")', 'float("nan")', "0.25", "-1"]
