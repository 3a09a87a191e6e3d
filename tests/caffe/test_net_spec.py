"""caffe.net_spec: nets written in Python come out as the prototxt that one would write by hand."""
import copy

import numpy as np
import pytest

from caffe.files import prototxt
from caffe.net_spec import NetSpec, to_proto
from caffe.net_spec import layers as L
from caffe.net_spec import params as P
from caffe.proto import caffe_pb2 as pb


def net(text):
    return prototxt.read_net_text(text)


def test_a_net_with_everything():
    n = NetSpec()
    n.data, n.label = L.DummyData(shape=[dict(dim=[8, 3, 32, 32]), dict(dim=[8])],
                                  data_filler=dict(type="gaussian"), ntop=2)
    n.conv1 = L.Convolution(n.data, num_output=16, kernel_size=[3, 5], pad=1, bias_term=False,
                            weight_filler=dict(type="xavier"), param=[dict(lr_mult=1)])
    n.relu1 = L.ReLU(n.conv1, in_place=True)
    n["pool1"] = L.Pooling(n.relu1, kernel_size=2, stride=2, pool=P.Pooling.AVE)
    n.rois = L.Python(n.label, module="rpn.proposal_layer", layer="ProposalLayer",
                      param_str="'feat_stride': 16")
    n.roi = L.ROIPooling(n.pool1, n.rois, pooled_h=7, pooled_w=7, spatial_scale=np.float32(0.0625))
    n.ip = L.InnerProduct(L.Flatten(n.roi), name="fc", num_output=3)
    n.loss = L.SoftmaxWithLoss(n.ip, n.label, loss_weight=0.5, include=dict(phase=pb.TEST),
                               loss_param=dict(ignore_label=-1, normalization="BATCH_SIZE"),
                               propagate_down=[True, False])
    assert n.to_proto() == net("""
        layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
            data_filler { type: "gaussian" } shape { dim: [8, 3, 32, 32] } shape { dim: 8 } } }
        layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 }
            convolution_param { num_output: 16 kernel_size: [3, 5] pad: 1 bias_term: false
                                weight_filler { type: "xavier" } } }
        layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
        layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
            pooling_param { kernel_size: 2 stride: 2 pool: AVE } }
        layer { name: "rois" type: "Python" bottom: "label" top: "rois" python_param {
            module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "'feat_stride': 16" } }
        layer { name: "roi" type: "ROIPooling" bottom: "pool1" bottom: "rois" top: "roi"
            roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 } }
        layer { name: "Flatten1" type: "Flatten" bottom: "roi" top: "Flatten1" }
        layer { name: "fc" type: "InnerProduct" bottom: "Flatten1" top: "ip"
            inner_product_param { num_output: 3 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
            loss_weight: 0.5 include { phase: TEST } propagate_down: [true, false]
            loss_param { ignore_label: -1 normalization: BATCH_SIZE } }""")


def test_layers_without_names_are_called_after_their_type():
    data = L.Input(shape=dict(dim=[1, 2]))
    total = L.Eltwise(L.Power(data, power=2), L.Power(data, scale=3))
    assert to_proto(total) == net("""
        layer { name: "Input1" type: "Input" top: "Input1" input_param { shape { dim: [1, 2] } } }
        layer { name: "Power1" type: "Power" bottom: "Input1" top: "Power1"
                power_param { power: 2 } }
        layer { name: "Power2" type: "Power" bottom: "Input1" top: "Power2"
                power_param { scale: 3 } }
        layer { name: "Eltwise1" type: "Eltwise" bottom: "Power1" bottom: "Power2" top: "Eltwise1" }
        """)
    assert total.to_proto() == to_proto(total)


def test_only_what_is_needed_is_written():
    n = NetSpec()
    n.data = L.Input(shape=dict(dim=[1]))
    n.a, n.b = L.Power(n.data), L.Exp(n.data)
    assert [layer.name for layer in to_proto(n.b).layer] == ["Input1", "Exp1"]
    assert [layer.name for layer in n.to_proto().layer] == ["data", "a", "b"]


def test_layers_without_tops():
    n = NetSpec()
    n.data, n.data2 = L.DummyData(shape=dict(dim=3), ntop=2)
    n.silence = L.Silence(n.data, ntop=0)
    n.silence2 = L.Silence(n.data2, ntop=0)
    assert [(layer.name, list(layer.top)) for layer in n.to_proto().layer] == \
        [("data", ["data", "data2"]), ("silence", []), ("silence2", [])]
    assert [layer.name for layer in n.silence2.to_proto().layer] == ["DummyData1", "Silence1"]


def test_order_of_assignment_and_deletion():
    n = NetSpec()
    n.b = L.Input()
    n.a = L.Input()
    n.c = L.Input()
    del n.b
    del n["c"]
    n.d = n.a
    assert list(n.tops) == ["a", "d"] and [layer.name for layer in n.to_proto().layer] == ["d"]
    assert list(copy.copy(n).tops) == ["a", "d"]


@pytest.mark.parametrize("make, error, says", [
    (lambda n: L.Convolution(n.data, 3), TypeError, "Convolution input 1 is not a Top"),
    (lambda n: L.Convolution(n.data, num_outputs=3).to_proto(), AttributeError,
     r'"Convolution1" \(Convolution\) has no parameter "num_outputs" \(did you mean "num_output"'),
    (lambda n: L.Pooling(n.data, pool="MAXX").to_proto(), AttributeError, 'did you mean "MAX"'),
    (lambda n: L.Convolution(n.data, weight_filler=dict(typ="x")).to_proto(), AttributeError,
     'FillerParameter has no field "typ"'),
    (lambda n: L.Pooling(n.data, kernel_size=[2, 2]).to_proto(), TypeError, "takes one value"),
    (lambda n: n.dat, AttributeError, 'no top "dat".*did you mean "data"'),
    (lambda n: P.Poling, AttributeError, 'did you mean "Pooling"'),
])
def test_errors(make, error, says):
    n = NetSpec()
    n.data = L.Input()
    with pytest.raises(error, match=says):
        make(n)
