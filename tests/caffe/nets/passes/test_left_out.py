"""Layers that a whole pass leaves out: silent branches, frozen layers whose results are kept."""
import hashlib

import numpy as np
import pytest
from net_texts import fc, input_layer, layer

import caffe
from caffe.files import prototxt
from caffe.proto.caffe_pb2 import SolverParameter

NET = """
layer {{ name: "data" type: "DummyData" top: "data" top: "labels" dummy_data_param {{
  shape {{ dim: 2 dim: 3 dim: 9 dim: 8 }} shape {{ dim: 2 }}
  data_filler {{ type: "gaussian" std: 1 }} data_filler {{ type: "constant" value: 1 }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  param {{ lr_mult: 0 }} param {{ lr_mult: 0 }}
  convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param {{ kernel_size: 2 stride: 2 }} }}
layer {{ name: "aside" type: "Convolution" bottom: "pool" top: "aside"
  param {{ lr_mult: {aside} }} param {{ lr_mult: 0 }}
  convolution_param {{ num_output: 2 kernel_size: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu_aside" type: "ReLU" bottom: "aside" top: "aside" }}
layer {{ name: "silence" type: "Silence" bottom: "aside" }}
layer {{ name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "labels" top: "loss" }}
"""


@pytest.fixture
def make():
    def net(aside=0):
        caffe.set_random_seed(5)
        return caffe.Net(prototxt.read_net_text(NET.format(aside=aside), origin="test"),
                         caffe.TRAIN)
    return net


@pytest.fixture
def runs(monkeypatch):
    """The names of the layers whose modules run, in order."""
    from caffe.runners.module_runner import ModuleRunner
    names, compute = [], ModuleRunner.compute

    def noted(runner, *tensors):
        names.append(runner.name)
        return compute(runner, *tensors)
    monkeypatch.setattr(ModuleRunner, "compute", noted)
    return names


def by_hand(net, name):
    """What a layer and the ReLU behind it make of the present blobs."""
    blob = net.blobs[net.bottom_names[name][0]].data
    weight, bias = (p.data for p in net.params[name])
    return np.maximum(np.einsum("nchw,oc->nohw", blob, weight[:, :, 0, 0])
                      + bias[:, None, None], 0)


def test_a_branch_that_ends_in_silence_does_not_run(make, runs):
    net = make()
    net.forward()
    assert "fc" in runs and not {"aside", "relu_aside", "silence"} & set(runs)
    net.backward()
    assert net.params["fc"][0].diff.any()


def test_a_branch_that_learns_runs(make, runs):
    net = make(aside=1)
    net.forward()
    assert "aside" in runs
    np.testing.assert_allclose(net.blobs["aside"].data, by_hand(net, "aside"), rtol=1e-5, atol=1e-6)


def test_who_reads_a_blob_of_a_silent_branch_gets_its_values(make, runs):
    net = make()
    for _ in range(2):
        net.forward()
        runs.clear()
        assert net.blobs["aside"].shape == (2, 2, 5, 4) and not runs
        np.testing.assert_allclose(net.blobs["aside"].data, by_hand(net, "aside"), rtol=1e-5,
                                   atol=1e-6)
        assert runs[:1] == ["aside"]


def test_an_array_of_a_silent_blob_shows_the_newest_pass(make):
    net = make()
    net.forward()
    held = net.blobs["aside"].data
    before = held.copy()
    net.forward()
    assert not np.array_equal(held, before)
    np.testing.assert_allclose(held, by_hand(net, "aside"), rtol=1e-5, atol=1e-6)


def test_passes_of_some_layers_run_them_all(make, runs):
    net = make()
    net.forward(end="silence")
    assert {"aside", "silence"} <= set(runs)


def test_a_pass_over_known_images_takes_their_features(make, runs):
    net, images = make(), {}
    cache = net.passes.keep_features(1 << 20, lambda: list(images))
    images.update(a=0, b=1)
    net.forward()
    data, expected = net.blobs["data"].data.copy(), net.blobs["fc"].data.copy()
    runs.clear()
    net.forward()       # other numbers, under the same names
    assert runs == ["data", "fc", "loss"] and (cache.hits, cache.misses) == (1, 1)
    assert np.array_equal(net.blobs["fc"].data, expected)
    assert not np.array_equal(net.blobs["data"].data, data)
    assert net.blobs["conv"].shape == (2, 4, 9, 8)
    net.backward()
    assert net.params["fc"][0].diff.any()


def test_images_are_kept_one_by_one(make, runs):
    net, images = make(), ["a", "b"]
    cache = net.passes.keep_features(1 << 20, lambda: images)
    net.forward()
    rows = net.blobs["pool"].data.copy()
    images[:] = ["b", "a"]
    net.forward()
    assert np.array_equal(net.blobs["pool"].data, rows[::-1])
    images[:] = ["b", "c"]
    runs.clear()
    net.forward()
    assert "conv" in runs and len(cache) == 3


def test_a_changed_weight_makes_the_cache_start_anew(make, runs):
    net = make()
    cache = net.passes.keep_features(1 << 20, lambda: ["a", "b"])
    net.forward()
    _ = net.params["conv"][0].data.sum()        # to look is no change
    net.forward()
    assert cache.hits == 1
    net.params["conv"][0].data[...] *= 2
    net.forward()
    assert cache.hits == 1 and cache.misses == 2
    net.forward()
    assert cache.hits == 2


@pytest.mark.parametrize("rule", ["SGD", "Nesterov", "Adam"])
def test_frozen_weights_are_looked_at_once_in_a_training(monkeypatch, rule):
    p = SolverParameter(base_lr=0.01, lr_policy="fixed", momentum=0.9, weight_decay=0.01, type=rule)
    p.net_param.CopyFrom(prototxt.read_net_text(NET.format(aside=0), origin="test"))
    solver, looked = caffe.get_solver(p), []
    cache = solver.net.passes.keep_features(1 << 20, lambda: ["a", "b"])
    blake2b = hashlib.blake2b
    monkeypatch.setattr(hashlib, "blake2b", lambda: looked.append(1) or blake2b())
    solver.step(4)
    assert cache.hits == 3 and len(looked) == 1


def test_the_limit_holds_and_what_is_in_stays(make):
    net, images = make(), ["a", "b"]
    size = 4 * 5 * 4 * 4        # bytes of an image's features
    cache = net.passes.keep_features(3 * size + 1, lambda: images)
    for names in (["a", "b"], ["c", "d"], ["e", "f"]):
        images[:] = names
        net.forward()
    assert len(cache) == 3 and cache.size == 3 * size
    images[:] = ["a", "c"]
    net.forward()
    assert cache.hits == 1


def test_without_names_nothing_is_kept(make, runs):
    net = make()
    cache = net.passes.keep_features(1 << 20, lambda: None)
    net.forward()
    net.forward()
    assert not len(cache) and runs.count("conv") == 2
    assert net.passes.keep_features(0, lambda: ["a", "b"]) is None


def test_blobs_of_frozen_layers_are_computed_when_they_are_read(make):
    net = make()
    net.passes.keep_features(1 << 20, lambda: ["a", "b"])
    net.forward()
    net.forward()
    pool = net.blobs["pool"].data.copy()
    data = net.blobs["data"].data
    conv = net.blobs["conv"].data
    fresh = make()
    fresh.params["conv"][0].data[...] = net.params["conv"][0].data
    fresh.blobs["data"].data[...] = data
    fresh.forward(start="conv", end="relu")
    np.testing.assert_array_equal(conv, fresh.blobs["conv"].data)
    assert np.array_equal(net.blobs["pool"].data, pool)


def test_the_frozen_blocks_of_a_resnet_are_kept(runs):
    """Their BatchNorm takes the statistics that it has; all but the convolution works in place."""
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    text = (input_layer("data", 2, 3, 9, 8) + input_layer("labels", 2)
            + layer("conv", "Convolution", "data", None, "convolution_param { num_output: 4 "
                    'kernel_size: 3 weight_filler { type: "xavier" } } ' + frozen)
            + layer("bn", "BatchNorm", "conv", "conv",
                    "batch_norm_param { use_global_stats: true }")
            + layer("scale", "Scale", "conv", "conv", "scale_param { bias_term: true } " + frozen)
            + layer("relu", "ReLU", "conv", "conv") + fc("fc", "conv", 3)
            + layer("loss", "SoftmaxWithLoss", "fc labels"))
    net = caffe.Net(prototxt.read_net_text(text, origin="test"), caffe.TRAIN)
    net.params["bn"][1].data[...] = net.params["bn"][2].data[...] = 2
    net.blobs["data"].data[...] = np.random.default_rng(1).normal(size=(2, 3, 9, 8))
    net.forward()
    expected = {name: blob.data.copy() for name, blob in net.blobs.items()}
    cache = net.passes.keep_features(1 << 20, lambda: ["a", "b"])
    net.forward()
    runs.clear()
    net.forward()
    assert cache.hits == 1 and not {"conv", "bn", "scale", "relu"} & set(runs)
    for name, array in expected.items():
        assert np.array_equal(net.blobs[name].data, array), name
