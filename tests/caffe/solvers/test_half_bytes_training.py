"""Training in bf16: gradients beside those of float32, master weights, snapshots."""
import numpy as np
import pytest
import torch
from google.protobuf import text_format
from half_bytes import needs_bf16, precision, relative_error
from net_texts import input_layer, layer

import caffe
from caffe.proto import caffe_pb2

pytestmark = needs_bf16
CONV = ('convolution_param {{ num_output: {} kernel_size: 3 pad: 1 '
        'weight_filler {{ type: "msra" }} }}')
FC = 'inner_product_param {{ num_output: {} weight_filler {{ type: "msra" }} }}'
NET = (
    input_layer("data", 4, 3, 24, 24) + input_layer("label", 4)
    + layer("conv1", "Convolution", "data", None, CONV.format(16))
    + layer("relu1", "ReLU", "conv1", "conv1") + layer("norm1", "LRN", "conv1")
    + layer("pool1", "Pooling", "norm1", None, "pooling_param { kernel_size: 2 stride: 2 }")
    + layer("conv2", "Convolution", "pool1", None, CONV.format(32))
    + layer("bn2", "BatchNorm", "conv2")
    + layer("scale2", "Scale", "bn2", None, "scale_param { bias_term: true }")
    + layer("relu2", "ReLU", "scale2", "scale2")
    + layer("conv3", "Convolution", "scale2", None, CONV.format(32))
    + layer("sum3", "Eltwise", "conv3 scale2") + layer("relu3", "ReLU", "sum3", "sum3")
    + layer("fc4", "InnerProduct", "sum3", None, FC.format(40))
    + layer("relu4", "ReLU", "fc4", "fc4") + layer("drop4", "Dropout", "fc4", "fc4")
    + layer("score", "InnerProduct", "fc4", None, FC.format(5))
    + layer("loss", "SoftmaxWithLoss", "score label"))
SMOOTH = NET.replace('"ReLU"', '"TanH"').replace("pooling_param {", "pooling_param { pool: AVE")
# Tiles of two outputs, as in training, make the factors' roundings 1.5 times as large, and maps are
# rounded between the layers: 2 * 2^-8 in each layer, forth and back
GRADIENT_UNIT = 2 * 2.0 ** -8
PRODUCTS = 5        # on the way from the picture to the loss


def solver_of(name, folder="", text=NET, rate=0.05):
    """A solver whose net has this precision, with weights and a minibatch that are always alike."""
    p = text_format.Parse(f'base_lr: {rate} lr_policy: "fixed" momentum: 0.9 weight_decay: 0.001 '
                          "random_seed: 5 ", caffe_pb2.SolverParameter())
    p.net_param.CopyFrom(caffe.prototxt.read_net_text(text))
    p.snapshot_prefix = f"{folder}/net"
    with precision(name):
        solver = caffe.SGDSolver(p)
    random = np.random.default_rng(2)
    solver.net.blobs["data"].data[...] = random.normal(size=(4, 3, 24, 24))
    solver.net.blobs["label"].data[...] = [0, 3, 1, 4]
    return solver


def gradients(net):
    """{layer: [gradient of each learned blob]} of one pass with the same random numbers."""
    torch.manual_seed(4)
    net.clear_param_diffs()
    net.forward()
    net.backward()
    return {name: [blob.diff.copy() for blob in blobs] for name, blobs in net.params.items()
            if name != "bn2"}


def weights(solver):
    return {name: [blob.data.copy() for blob in blobs] for name, blobs in solver.net.params.items()}


def test_gradients_like_those_of_float32():
    """Of a net without kinks: each product rounds on the way forth and on the way back."""
    half, plain = (solver_of(name, text=SMOOTH).net for name in ("bf16", "float32"))
    assert (half.precision, plain.precision) == ("bf16", "float32")
    found, exact = gradients(half), gradients(plain)
    scores = plain.blobs["score"].data
    error = GRADIENT_UNIT * PRODUCTS ** 0.5 * float(np.sqrt((scores ** 2).mean()))
    assert half.blobs["loss"].data == pytest.approx(plain.blobs["loss"].data, abs=error)
    assert all(diff.dtype == np.float32 for diffs in found.values() for diff in diffs)
    for name in exact:      # in those of biases, sums over all pixels, much cancels
        error = relative_error(found[name][0], exact[name][0])
        assert error < GRADIENT_UNIT * (2 * PRODUCTS) ** 0.5, name
    assert relative_error(found["conv1"][0], exact["conv1"][0]) > 1e-4


def test_gradients_through_relus_have_the_same_direction():
    """Where numbers are off by 2 %, one ReLU in a hundred or so takes the other side, and one
    maximum another place; each such gradient is wrong as a whole. The root of 2 % is 0.14."""
    found, exact = (gradients(solver_of(name).net) for name in ("bf16", "float32"))
    for name in exact:
        mine, theirs = found[name][0].ravel(), exact[name][0].ravel()
        assert mine @ theirs > (1 - 0.14 ** 2) * np.linalg.norm(mine) * np.linalg.norm(theirs), name


def test_maps_are_half_the_bytes_and_losses_float32():
    net = solver_of("bf16").net
    net.forward()
    held = {name: net.blobs[name].values.as_is().dtype for name in net.blobs}
    maps = "conv1", "norm1", "pool1", "conv2", "bn2", "scale2", "sum3"
    assert {held[name] for name in maps} == {torch.bfloat16}
    assert held["score"] == held["loss"] == held["data"] == torch.float32
    assert net.blobs["fc4"].data.dtype == net.blobs["fc4"].diff.dtype == np.float32


def test_statistics_of_batchnorm_are_sums_of_float32():
    """The mean of a map that has 2048 + 1/2 everywhere, which bfloat16 cannot add up."""
    text = (input_layer("data", 2, 8, 16, 16)
            + layer("conv", "Convolution", "data", None, "convolution_param { num_output: 1 "
                    "kernel_size: 1 bias_term: false }") + layer("bn", "BatchNorm", "conv")
            + layer("next", "Convolution", "bn", None, CONV.format(2)))
    with precision("bf16"):
        net = caffe.Net(caffe.prototxt.read_net_text(text), caffe.TRAIN)
    net.params["conv"][0].data[...] = 1
    net.blobs["data"].data[...] = 0
    net.blobs["data"].data[:, 0] = 1
    net.blobs["data"].data[0, 1] = 2.0 ** -6    # a channel of 1 + 2^-6, and one of 1: 2^-7 apart
    net.forward()
    assert net.blobs["conv"].values.as_is().dtype == torch.bfloat16
    assert net.params["bn"][0].data[0] == 1 + 2.0 ** -7


def test_the_master_weights_take_steps_that_bfloat16_does_not_see():
    """A step of 2^-12 of a weight: bfloat16 would round it away, and the weight would never move.
    """
    solver = solver_of("bf16")
    blob = solver.net.params["conv1"][0]
    before = blob.data.copy()
    solver.step(1)
    moved = blob.data != before
    rounded = [torch.from_numpy(array).bfloat16() for array in (blob.data, before)]
    assert moved.all() and (rounded[0] == rounded[1]).any()
    assert blob.parameter.dtype == torch.float32


def test_the_loss_falls_as_in_float32():
    """Step by step, with the same values dropped out."""
    losses = {}
    for name in ("bf16", "float32"):
        solver = solver_of(name, text=SMOOTH, rate=0.005)
        torch.manual_seed(1)
        losses[name] = []
        for _ in range(8):
            solver.step(1)
            losses[name].append(float(solver.net.blobs["loss"].data))
    assert losses["bf16"] == pytest.approx(losses["float32"], abs=0.02)
    assert losses["float32"][0] > 1.5 and losses["float32"][-1] < 0.1


@pytest.mark.parametrize("first, then", [("bf16", "bf16"), ("bf16", "float32"),
                                         ("float32", "bf16")])
def test_a_snapshot_continues(tmp_path, first, then):
    """In the same precision with the same bits, in the other one with the same weights."""
    begun = solver_of(first, tmp_path)
    begun.step(2)
    begun.snapshot()
    resumed = solver_of(then, tmp_path)
    resumed.restore(str(tmp_path / "net_iter_2.solverstate"))
    assert resumed.iter == 2 and resumed.net.precision == then
    same, other = weights(begun), weights(resumed)
    assert all((a == b).all() for name in same for a, b in zip(same[name], other[name]))
    for solver in (begun, resumed):
        torch.manual_seed(9)
        solver.step(2)
    same, other = weights(begun), weights(resumed)
    equal = all((a == b).all() for name in same for a, b in zip(same[name], other[name]))
    assert equal == (first == then)
