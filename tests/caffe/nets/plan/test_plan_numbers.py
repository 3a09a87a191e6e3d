"""A planned pass gives the numbers of the layers run one by one, in every blob."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from net_texts import input_layer, layer, net
from planned import RESIDUAL, assert_near, assert_same, fill, is_planned, outputs, unplanned
from sources import ROOT

import caffe

CONVOLUTIONS = {
    "3 x 3": "kernel_size: 3 pad: 1", "1 x 1": "kernel_size: 1",
    "no bias": "kernel_size: 3 pad: 1 bias_term: false",
    "5 x 5 of two groups": "kernel_size: 5 pad: 2 group: 2",
    "depthwise": "kernel_size: 3 pad: 1 group: 16", "dilated": "kernel_size: 3 pad: 2 dilation: 2",
    "oblong": "kernel_h: 1 kernel_w: 3 pad_h: 0 pad_w: 1"}
ACTIVATIONS = {
    "ReLU": "", "leaky": "relu_param { negative_slope: 0.1 }", "ReLU6": "", "Sigmoid": "",
    "TanH": "", "Clip": "clip_param { min: -0.5 max: 0.7 }", "PReLU": "", "ELU": "",
    "crossed": "clip_param { min: 0.7 max: -0.5 }"}


def make(text):
    """A test net with weights and inputs."""
    built = net(text, phase=caffe.TEST)
    fill(built)
    return built


def check(built):
    """The outputs of planned passes, and then all blobs, are those of single layers."""
    expected = unplanned(built)
    for _ in range(2):                              # the second one lets blobs go
        for name, array in outputs(built).items():
            assert_near(array, expected[name], name)
    assert_same(built, expected)
    for name, array in outputs(built).items():      # nothing that was read is hidden now
        assert_near(array, expected[name], name)


@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("adds", [False, True], ids=["plain", "sum"])
def test_all_convolutions_with_all_activations(options, activation, adds):
    kind = {"leaky": "ReLU", "crossed": "Clip"}.get(activation, activation)
    built = make(
        input_layer("data", 2, 16, 20, 24)
        + layer("conv", "Convolution", "data", None,
                f"convolution_param {{ num_output: 16 {options} }}")
        + layer("bn", "BatchNorm", "conv", "conv")
        + layer("scale", "Scale", "conv", "conv", "scale_param { bias_term: true }")
        + (layer("sum", "Eltwise", "conv data") if adds else "")
        + layer("act", kind, "sum" if adds else "conv", None, ACTIVATIONS[activation]))
    check(built)
    assert is_planned(built)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("options", [
    "kernel_size: 3 pad: 1 stride: 2", "kernel_size: 7 pad: 3 stride: 2 bias_term: false",
    "kernel_h: 4 kernel_w: 5 pad_w: 2 stride_h: 1 stride_w: 3", "kernel_size: 3 dilation: 2"])
@pytest.mark.parametrize("activation", ["ReLU", "ReLU6", "Sigmoid", "PReLU"])
def test_the_first_convolution_of_an_image(channels, options, activation):
    built = make(
        input_layer("data", 2, channels, 33, 38)
        + layer("conv", "Convolution", "data", None,
                f"convolution_param {{ num_output: 24 {options} }}")
        + layer("bn", "BatchNorm", "conv", "conv")
        + layer("scale", "Scale", "conv", "conv", "scale_param { bias_term: true }")
        + layer("act", activation, "conv", "conv"))
    check(built)
    assert is_planned(built)


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("activation", ["ReLU", "Sigmoid", "PReLU"])
def test_products(rows, transpose, activation):
    check(make(
        input_layer("data", rows, 4, 5, 6)
        + layer("fc", "InnerProduct", "data", None, "inner_product_param { num_output: 9 "
                f"transpose: {str(transpose).lower()} }}")
        + layer("scale", "Scale", "fc") + layer("bias", "Bias", "scale")
        + layer("drop", "Dropout", "bias") + layer("act", activation, "drop", "drop")))


def test_everything_at_once():
    built = make(RESIDUAL)
    check(built)


def test_the_sum_of_two_convolutions_is_carried_out_by_the_second():
    built = make(input_layer("data", 1, 4, 6, 6)
                     + layer("a", "Convolution", "data", None,
                             "convolution_param { num_output: 3 kernel_size: 1 }")
                     + layer("b", "Convolution", "data", None,
                             "convolution_param { num_output: 3 kernel_size: 3 pad: 1 }")
                     + layer("sum", "Eltwise", "a b") + layer("relu", "ReLU", "sum", "sum"))
    built.forward()
    names = [[x.name for x in step.chain.layers] for step in built._planner._chains.values()]
    assert names == [["a"], ["b", "sum", "relu"]]
    check(built)


@pytest.mark.parametrize("rest", [
    "eltwise_param { coeff: 1 coeff: -2 }", "eltwise_param { operation: PROD }",
    "eltwise_param { operation: MAX }"])
def test_other_forms_of_eltwise(rest):
    check(make(input_layer("data", 1, 4, 6, 6)
                   + layer("conv", "Convolution", "data", None,
                           "convolution_param { num_output: 4 kernel_size: 1 }")
                   + layer("sum", "Eltwise", "conv data", None, rest)
                   + layer("relu", "ReLU", "sum", "sum")))


def test_layers_that_look_alike_but_are_not():
    """BatchNorm of the batch, Dropout that scales or drops, Scale along another axis."""
    built = make(
        input_layer("data", 2, 4, 6, 6)
        + layer("conv", "Convolution", "data", None,
                "convolution_param { num_output: 6 kernel_size: 1 }")
        + layer("bn", "BatchNorm", "conv", None, "batch_norm_param { use_global_stats: false "
                "moving_average_fraction: 0 }")
        + layer("conv2", "Convolution", "bn", None,
                "convolution_param { num_output: 6 kernel_size: 1 }")
        + layer("scale", "Scale", "conv2", None, "scale_param { axis: 2 }")
        + layer("fc", "InnerProduct", "scale", None, "inner_product_param { num_output: 4 }")
        + layer("drop", "Dropout", "fc", None, "dropout_param { scale_train: false }")
        + layer("relu", "ReLU", "drop"))
    check(built)


KINDS = ("conv", "conv1", "BatchNorm", "Scale", "ReLU", "PReLU", "Dropout", "sum", "concat", "pool")
LAYERS = st.tuples(st.sampled_from(KINDS), st.booleans(), st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=14))
def test_random_nets(drawn):
    check(make(random_text(drawn)))


def random_text(drawn):
    """A prototxt; each layer reads one of the last four blobs, or works in place on the last."""
    text, blobs, read = [input_layer("data", 1, 4, 6, 6)], [("data", 4)], {"data"}
    for number, (kind, in_place, pick) in enumerate(drawn):
        bottom, channels = blobs[-1 - pick % min(4, len(blobs))]
        name = f"{kind}_{number}"
        if in_place and kind in KINDS[2:7] and blobs[-1][0] not in read:
            bottom, channels = blobs[-1]
            text.append(layer(name, kind, bottom, bottom))
            continue
        other = next((blob for blob, count in blobs if (blob, count) == (blob, channels)
                      and blob != bottom), None)
        read.update({bottom, other} if kind in ("sum", "concat") else {bottom})
        text.append(one_layer(kind, name, bottom, other))
        blobs.append((name, 4 if "conv" in kind else
                      2 * channels if kind == "concat" and other else channels))
    return "".join(text)


def one_layer(kind, name, bottom, other):
    if kind in ("conv", "conv1"):
        size = "kernel_size: 3 pad: 1" if kind == "conv" else "kernel_size: 1 bias_term: false"
        return layer(name, "Convolution", bottom, None,
                     f"convolution_param {{ num_output: 4 {size} }}")
    if kind in ("sum", "concat") and other:
        return layer(name, "Eltwise" if kind == "sum" else "Concat", f"{bottom} {other}")
    if kind == "pool":
        return layer(name, "Pooling", bottom, None,
                     "pooling_param { kernel_size: 3 pad: 1 stride: 1 }")
    return layer(name, "ReLU" if kind in ("sum", "concat") else kind, bottom)


def test_squeezenet_on_a_small_picture():
    built = caffe.Net(str(ROOT / "models/imagenet/SqueezeNet/deploy.prototxt"), caffe.TEST)
    built.blobs["data"].reshape(1, 3, 64, 64)
    fill(built)
    check(built)
    assert is_planned(built)
