"""The bench on Tiny: every stage gives figures; the bare side computes what the layers compute."""
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from measure import bare_net, memory, peer_nets, peers, stages

import caffe
from caffe.files import prototxt
from faster_rcnn.networks.backbones.resnet import stage
from faster_rcnn.settings.config import cfg_override

ROOT = Path(__file__).resolve().parents[2]

NET = """
layer { name: "data" type: "DummyData" top: "data" dummy_data_param {
  shape { dim: 2 dim: 3 dim: 9 dim: 8 } data_filler { type: "gaussian" std: 1 } } }
layer { name: "labels" type: "DummyData" top: "labels" dummy_data_param {
  shape { dim: 2 } data_filler { type: "constant" value: 1 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param { lr_mult: 0 } param { lr_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1
    weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param { num_output: 4 kernel_size: 3 pad: 2 dilation: 2 group: 2
    weight_filler { type: "xavier" } } }
layer { name: "aside" type: "Convolution" bottom: "conv2" top: "aside"
  param { lr_mult: 0 } param { lr_mult: 0 }
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "silence" type: "Silence" bottom: "aside" }
layer { name: "fc" type: "InnerProduct" bottom: "conv2" top: "fc"
  param { lr_mult: 1 } param { lr_mult: 0 }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "labels" top: "loss" }
"""


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(ROOT / "tools"))
    spec = importlib.util.spec_from_file_location("bench", ROOT / "tools" / "bench.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def net_and_bare():
    message = prototxt.read_net_text(NET, origin="test")
    net = caffe.Net(message, caffe.TRAIN)
    net.forward()
    return net, bare_net.BareNet(net, message, train=True)


def test_bare_operators_compute_what_the_layers_compute(net_and_bare):
    net, bare = net_and_bare
    assert [operator.name for operator in bare.operators] == ["conv1", "conv2", "aside", "fc"]
    for operator in bare.operators:
        bottom = net.blobs[net.bottom_names[operator.name][0]].tensor.detach()
        with torch.no_grad():
            operator.input.copy_(bottom.reshape(operator.input.shape))
            top = operator.forward()
        if operator.name != "conv1":                        # ReLU has changed that one in place
            np.testing.assert_allclose(top.numpy(), net.blobs[operator.name].data, rtol=1e-5,
                                       atol=1e-6)


def test_gradients_are_those_that_training_needs(net_and_bare):
    _, bare = net_and_bare
    wanted = {operator.name: [tuple(t.shape) for t in operator.wanted]
              for operator in bare.operators}
    # frozen and first: nothing; first that learns: weight, bias; not under the loss: nothing;
    # above it: input and weight, as the bias is frozen
    assert wanted == {"conv1": [], "conv2": [(4, 2, 3, 3), (4,)], "aside": [],
                      "fc": [(2, 4 * 5 * 4), (3, 80)]}
    bare.run()


@pytest.mark.parametrize("stage", stages.STAGES)
def test_every_stage_is_measured(bench, stage, tmp_path, capsys):
    path = tmp_path / "figures.json"
    options = ["--layers"] if stage in ("test", "stage1_rpn") else []
    with cfg_override(TRAIN={"SCALES": (150,)}):
        results = bench.main(["--net", "Tiny", "--stage", stage, "--repeats", "1", "--json",
                              str(path), *options])
    figures = json.loads(path.read_text())
    assert [(row["net"], row["stage"]) for row in figures] == [("Tiny", stage)]
    assert figures[0]["ours"] > 0 and figures[0]["bare"] > 0
    assert f"ratio {results[0]['ratio']:.3f}" in capsys.readouterr().out
    if options:
        rows = {row[0]: row for row in figures[0]["layers"]}
        assert rows["conv2"][2] > 0 and rows["conv2"][4] > 0
        assert (rows["conv2"][3] > 0) == (stage != "test")


def test_test_net_has_300_proposals(bench):
    run, net, _ = stages.test_case("Tiny")
    run()
    assert net.blobs["rois"].shape[0] == 300


def test_memory_is_that_of_a_process_of_its_own(bench, monkeypatch, capsys):
    asked = []

    def peak(*arguments):
        asked.append(arguments)
        return {"weights_mb": 2.6, "peak_mb": 40.0}
    monkeypatch.setattr(bench.memory, "peak", peak)
    rows = bench.main(["--net", "Tiny", "--memory", "--stage", "test", "joint", "--precision",
                       "bf16"])
    assert [call[1:] for call in asked] == [
        ("test", 600, 1000, "bf16", {"RECOMPUTE_ACTIVATIONS": False}),
        ("joint", 600, 1000, "bf16", {"RECOMPUTE_ACTIVATIONS": False}),
        ("joint", 600, 1000, "bf16", {"RECOMPUTE_ACTIVATIONS": True})]
    assert [row["recomputed"] for row in rows] == [False, False, True]
    assert "joint              bf16     weights       3 MB   peak      40 MB   activations" in (
        capsys.readouterr().out)


def test_the_peak_has_weights_and_more():
    figures = memory.peak("Tiny", "joint", 150, 200, "float32", {})
    assert 2 < figures["weights_mb"] < figures["peak_mb"] < 1000


def test_engine_overhead_is_measured(bench):
    figures = bench.engine_overhead(repeats=3, count=10)
    assert 0 < figures["bare_us"] < figures["ours_us"]


def test_saving_and_loading_weights_is_measured(bench, capsys):
    [result] = bench.main(["--net", "Tiny", "--stage", "weights", "--repeats", "1"])
    assert result["save_s"] > 0 and result["load_s"] > 0
    assert result["file_mb"] == pytest.approx(2.57, abs=0.1)
    assert result["load_memory"] > 1 and result["save_memory"] > 1
    assert f"loaded in {result['load_s']:.2f} s" in capsys.readouterr().out


def test_other_programs_get_the_same_net(bench, capsys, monkeypatch):
    pytest.importorskip("onnx")

    def small():
        net = peer_nets._Net(32, 40)
        net.conv_bn(8, 3, 2, 1)
        net.shared(lambda spec, rates: stage(spec, net.last, rates, 2, "a", stride=1))
        net.dense(5, relu=False)
        return net.scores()

    monkeypatch.setitem(peer_nets.NETS, "Small", small)
    [result] = bench.main(["--peers", "Small", "--repeats", "1", "--threads", "1"])
    assert result["net"] == "Small" and result["difference"] < 1e-4
    assert all(0 < seconds < 10 for seconds in result["seconds"].values())
    assert f"ours / fastest {result['ratio']:.2f}" in capsys.readouterr().out


def test_a_program_that_computes_something_else_is_not_timed():
    picture = np.ones((1, 3), np.float32)
    with pytest.raises(RuntimeError, match="Net: the output of other differs from ours by 0.5"):
        peers._agree("Net", {"ours": lambda x: x, "other": lambda x: x / 2}, picture)


@pytest.mark.parametrize("name", peer_nets.NETS)
def test_nets_of_the_comparison(name):
    message = peer_nets.NETS[name]()
    learned = sum(layer.type in ("Convolution", "InnerProduct") for layer in message.layer)
    assert learned == {"AlexNet": 8, "GoogLeNet": 58, "SqueezeNet": 26, "VGG16": 16,
                       "ResNet-50": 54, "MobileNet": 28, "ZF trunk": 5, "VGG16 trunk": 13,
                       "ResNet-50 trunk": 43}[name]
