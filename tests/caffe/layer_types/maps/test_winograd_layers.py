"""Convolution layers by Winograd's algorithm: which, and with which numbers."""
import pytest
import torch
from layer_harness import build

import caffe
from caffe.operators import winograd

PLAIN = "num_output: 64 kernel_size: 3 pad: 1"


@pytest.fixture(autouse=True)
def switch():
    yield
    caffe.set_winograd(True)


def layer(options, shape):
    torch.manual_seed(0)
    module = build(f'type: "Convolution" convolution_param {{ {options} '
                   'weight_filler { type: "msra" } }', shape)
    module.blobs[1].data.normal_()
    return module


@pytest.fixture
def calls(monkeypatch):
    """The shapes of the bottoms that go by Winograd's algorithm."""
    found, real = [], winograd.winograd_conv2d
    monkeypatch.setattr(winograd, "winograd_conv2d",
                        lambda x, *rest: found.append(tuple(x.shape)) or real(x, *rest))
    return found


@pytest.mark.parametrize("options, shape", [
    (PLAIN, (1, 64, 48, 40)),
    ("num_output: 48 kernel_h: 3 kernel_w: 3 pad_h: 0 pad_w: 2", (2, 32, 33, 47)),
])
def test_a_large_layer_gives_the_plain_numbers_and_gradients(options, shape, calls):
    module, x = layer(options, shape), torch.randn(shape)
    diff, found = None, []
    for allowed in (True, False):
        caffe.set_winograd(allowed)
        leaf = x.clone().requires_grad_()
        top = module(leaf)
        diff = torch.randn_like(top) if diff is None else diff
        found.append([top, *torch.autograd.grad(top, [leaf, *module.blobs], diff)])
    assert calls == [shape]
    for ours, plain in zip(*found):
        assert (ours - plain).abs().max() < 4e-6 * plain.abs().max()


@pytest.mark.parametrize("options, shape", [
    ("num_output: 64 kernel_size: 3 pad: 1 stride: 2", (1, 64, 48, 40)),
    ("num_output: 64 kernel_size: 3 pad: 1 dilation: 2", (1, 64, 48, 40)),
    ("num_output: 64 kernel_size: 3 pad: 1 group: 2", (1, 64, 48, 40)),
    ("num_output: 64 kernel_size: 5 pad: 2", (1, 64, 48, 40)),
    ("num_output: 64 kernel_size: 3", (1, 64, 48)),
    (PLAIN, (1, 3, 48, 40)), (PLAIN, (1, 64, 6, 6)),
])
def test_others_are_as_they_were(options, shape, calls):
    layer(options, shape)(torch.randn(shape))
    assert not calls


def test_only_float32_outside_autocast(calls):
    module, x = layer(PLAIN, (1, 64, 48, 40)), torch.randn(1, 64, 48, 40)
    with torch.autocast("cpu"):
        module(x)
    module.double()(x.double())
    assert not calls


def test_the_same_bits_in_every_run(calls):
    shape = (2, 64, 30, 40)
    module, x, diff = layer(PLAIN, shape), torch.randn(shape), torch.randn(shape)
    runs = []
    for _ in range(2):
        leaf = x.clone().requires_grad_()
        top = module(leaf)
        runs.append([top, *torch.autograd.grad(top, [leaf, *module.blobs], diff)])
    assert len(calls) == 2
    assert all(first.equal(second) for first, second in zip(*runs))


def test_it_pays_for_many_channels_on_large_maps():
    assert winograd.pays(64, 64, 600, 800, 1)
    assert winograd.pays(512, 512, 38, 50, 2, packed=False)
    assert not winograd.pays(3, 64, 600, 800, 1)
    assert not winograd.pays(64, 64, 7, 7, 1)


def test_packing_takes_time_of_its_own():
    assert winograd.pays(64, 64, 12, 12, 1) and not winograd.pays(64, 64, 12, 12, 1, packed=False)


def test_many_threads_wait_for_the_memory():
    assert winograd.pays(512, 512, 14, 14, 2) and not winograd.pays(512, 512, 14, 14, 8)
    assert winograd.pays(64, 64, 14, 14, 8)


def test_small_maps_of_many_channels_take_smaller_tiles():
    assert winograd.packed_tile(64, 64, 600, 800, 1) == 4
    assert winograd.packed_tile(256, 256, 14, 14, 2) == 4
    assert winograd.packed_tile(512, 512, 7, 7, 2) == 2
    assert winograd.packed_tile(64, 64, 7, 7, 1) == 4
    assert winograd.packed_tile(512, 512, 7, 7, 8) is None      # the threads wait for the memory
    assert winograd.packed_tile(64, 64, 4, 4, 1) is None
    assert winograd.packed_tile(3, 64, 600, 800, 1) is None
    assert winograd.packed_tile(512, 512, 7, 7, 1, torch.bfloat16) is None
