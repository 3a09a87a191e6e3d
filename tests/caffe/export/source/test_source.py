"""PyTorch source of layers and nets gives the nets' numbers, and needs nothing of ours."""
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from layer_harness import EXAMPLES, net_around
from made_detectors import fill

import caffe
from caffe.core.errors import LayerError
from caffe.export.part import select
from caffe.export.source import pieces
from caffe.export.source.program import module_of, write_program
from caffe.export.source.table import SOURCES
from caffe.export.source.writing import source_of, text_of
from caffe.files import prototxt
from faster_rcnn.settings.config import cfg

SQUEEZENET = os.path.join(cfg.ROOT_DIR, "models", "imagenet", "SqueezeNet", "deploy.prototxt")
# examples without source: (type, number) -> what the error says
REFUSED = {("Convolution", 1): "other axes", ("Convolution", 2): "other axes",
           ("Pooling", 1): "second top", ("Pooling", 3): "nothing but padding",
           ("Pooling", 5): "stochastic", ("ROIAlign", 2): "corners",
           ("Scale", 1): "two bottoms with a bias"}
CASES = [(kind, number) for kind in SOURCES if kind != "Silence"
         for number in range(len(EXAMPLES[kind]))]


def tops_of_source(net):
    """The outputs by the net's source, which is run in this process."""
    made = source_of(net, select(net))
    namespace = {"__file__": "x.py"}
    exec(text_of(made, "x.pth", "A net."), namespace)
    module = namespace[made.name]()
    module.load_state_dict(made.tensors)
    inputs = [torch.from_numpy(net.blobs[name].data.copy()) for name in select(net).inputs]
    with torch.no_grad():
        found = module.eval()(*inputs)
    return [found] if isinstance(found, torch.Tensor) else list(found)


@pytest.mark.parametrize("kind, number", [case for case in CASES if case not in REFUSED])
def test_tops_of_every_layer_type(kind, number):
    net = net_around(kind, *EXAMPLES[kind][number])
    net.forward()
    for name, top in zip(net.outputs, tops_of_source(net), strict=True):
        assert top.shape == net.blobs[name].shape
        np.testing.assert_allclose(top, net.blobs[name].data, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind, number", REFUSED)
def test_what_has_no_source_is_refused(kind, number):
    net = net_around(kind, *EXAMPLES[kind][number])
    with pytest.raises(LayerError, match=f"{REFUSED[kind, number]}.* has no PyTorch source"):
        source_of(net, select(net))


def test_a_type_without_source_is_named():
    net = net_around("MVN", *EXAMPLES["MVN"][0])
    with pytest.raises(LayerError, match=r'"it" \(MVN\) has no PyTorch source; .*\(end: b0\)'):
        source_of(net, select(net))


def test_names_of_pieces_are_in_the_order_of_their_needs():
    for name, needs in pieces.NEEDS.items():
        assert hasattr(pieces, name) and set(needs) < set(pieces.NEEDS)


NAMES = '''name: "torch\\"; import nothing"
input: "nms" input_shape { dim: 1 dim: 4 dim: 5 dim: 6 }
layer { name: "forward" type: "Convolution" bottom: "nms" top: "F"
        convolution_param { num_output: 3 kernel_size: 1 } }
layer { name: "a/b" type: "ReLU" bottom: "F" top: "F" }
layer { name: "a b" type: "InnerProduct" bottom: "F" top: "class"
        inner_product_param { num_output: 2 } }
layer { name: "a.b" type: "InnerProduct" bottom: "F" top: "1\\n2"
        inner_product_param { num_output: 2 bias_term: false } }
layer { name: "c" type: "Sigmoid" bottom: "class" top: "F 2" }
layer { name: "d" type: "Eltwise" bottom: "F 2" bottom: "1\\n2" top: "str" }
'''


def test_names_that_are_no_python_names_or_taken():
    net = caffe.Net(prototxt.read_net_text(NAMES), caffe.TEST)
    rng = np.random.default_rng(0)
    fill(net, rng)
    net.blobs["nms"].data[...] = rng.standard_normal(net.blobs["nms"].shape)
    net.forward()
    [top] = tops_of_source(net)
    np.testing.assert_allclose(top, net.blobs["str"].data, rtol=2e-5, atol=2e-6)


@pytest.fixture
def squeezenet():
    net = caffe.Net(SQUEEZENET, caffe.TEST)
    rng = np.random.default_rng(0)
    fill(net, rng)
    part = select(net, shapes={"data": (2, 3, 99, 120)})
    net.blobs["data"].data[...] = rng.standard_normal(net.blobs["data"].shape)
    return net, part


def test_a_program_of_torch_export(squeezenet, tmp_path):
    net, part = squeezenet
    data = torch.from_numpy(net.blobs["data"].data.copy())
    write_program(net, part, tmp_path / "net.pt2")
    load = ("import sys, torch\nprogram = torch.export.load(sys.argv[1])\n"
            "torch.save(program.module()(torch.load(sys.argv[2])).detach(), sys.argv[3])\n"
            "assert not {'caffe', 'faster_rcnn'} & set(sys.modules)")
    torch.save(data, tmp_path / "data.pth")
    subprocess.run([sys.executable, "-c", load, "net.pt2", "data.pth", "top.pth"], check=True,
                   cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    [(_, wanted)] = net.forward().items()
    np.testing.assert_allclose(torch.load(tmp_path / "top.pth"), wanted, rtol=1e-4, atol=1e-5)


def test_a_program_has_no_layers_that_look_at_each_region():
    net = net_around("ROIPooling", *EXAMPLES["ROIPooling"][0])
    with pytest.raises(LayerError, match="ROIPooling look at each region.*--end"):
        module_of(net, select(net))
