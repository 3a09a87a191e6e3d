"""Weights in the format of 2014: protobuf reads them, Caffe's upgrade and our reader too."""
import numpy as np
import pytest

import caffe
from caffe.core.errors import WeightsError
from caffe.files import prototxt, upgrade
from caffe.proto.caffe_pb2 import NetParameter, V1LayerParameter

NET = '''name: "old" input: "data" input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "power" type: "ELU" bottom: "conv" top: "elu" }
layer { name: "fc" type: "InnerProduct" bottom: "elu" top: "fc"
        inner_product_param { num_output: 5 weight_filler { type: "gaussian" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
'''
BATCH_NORM = 'layer { name: "bn" type: "BatchNorm" bottom: "fc" top: "bn" }'


@pytest.fixture
def net():
    return caffe.Net(prototxt.read_net_text(NET), caffe.TEST)


def test_protobuf_reads_the_layers_of_2014(net, tmp_path):
    net.save_v1(tmp_path / "old.caffemodel")
    message = NetParameter.FromString((tmp_path / "old.caffemodel").read_bytes())
    assert message.name == "old" and not message.layer
    kinds = [V1LayerParameter.LayerType.Name(layer.type) for layer in message.layers]
    assert kinds == ["CONVOLUTION", "RELU", "INNER_PRODUCT", "SOFTMAX"]     # ELU came later
    convolution, fc = message.layers[0], message.layers[2]
    assert list(convolution.bottom) == ["data"] and list(convolution.top) == ["conv"]
    for layer, shapes in ((convolution, [(4, 3, 3, 3), (1, 1, 1, 4)]),
                          (fc, [(1, 1, 5, 196), (1, 1, 1, 5)])):
        for blob, shape, ours in zip(layer.blobs, shapes, net.params[layer.name], strict=True):
            assert (blob.num, blob.channels, blob.height, blob.width) == shape
            assert not blob.HasField("shape")
            assert np.array_equal(np.float32(blob.data), ours.data.ravel())


def test_the_upgrade_knows_the_types(net, tmp_path):
    net.save_v1(tmp_path / "old.caffemodel")
    message = NetParameter.FromString((tmp_path / "old.caffemodel").read_bytes())
    upgraded = upgrade.upgrade_net(message)
    assert [layer.type for layer in upgraded.layer if layer.type != "Input"] == [
        "Convolution", "ReLU", "InnerProduct", "Softmax"]


def test_a_net_reads_them_back(net, tmp_path):
    net.save_v1(tmp_path / "old.caffemodel")
    other = caffe.Net(prototxt.read_net_text(NET), caffe.TEST)
    other.copy_from(str(tmp_path / "old.caffemodel"))
    for name, blobs in net.params.items():
        for ours, theirs in zip(blobs, other.params[name], strict=True):
            assert np.array_equal(ours.data, theirs.data)


def test_types_that_came_later(tmp_path):
    net = caffe.Net(prototxt.read_net_text(NET + BATCH_NORM), caffe.TEST)
    path = tmp_path / "old.caffemodel"
    with pytest.raises(WeightsError, match=r'layer "bn" \(BatchNorm\) has no form of 2014'):
        net.save_v1(path)
    assert not path.exists()


@pytest.mark.parametrize("number", [n for n in V1LayerParameter.LayerType.values() if n])
def test_numbers_of_types(number):
    assert upgrade.v1_type_number(upgrade.v1_type_name(number)) == number
