"""Nets as prototxt text: what is read back is what was written, whatever the names."""
import pytest
from google.protobuf import text_format
from hostile import NAMES

from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.networks.text import net_text


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_are_read_back_as_they_were(name):
    net = NetParameter(name=name, input=[name])
    net.input_shape.add(dim=[1, 3])
    layer = net.layer.add(name=name, type="Python", bottom=[name], top=[f"{name} top"])
    layer.python_param.module = layer.python_param.layer = layer.python_param.param_str = name
    net.layer.add(name="last", type="ReLU", bottom=[f"{name} top"], top=[name])
    assert text_format.Parse(net_text(net), NetParameter()) == net
