"""Where a plan puts what it computes: tops inside the top of a Concat, over a residual, or only
those pixels that are read. Every blob is right when it is read."""
import numpy as np
import pytest
from net_texts import input_layer, layer, net
from planned import assert_near, assert_same, conv, fill, outputs, unplanned

import caffe


def one(name, bottom, outputs=8, rest=""):
    """A Convolution, 1 x 1."""
    return layer(name, "Convolution", bottom, None,
                 f"convolution_param {{ num_output: {outputs} kernel_size: 1 {rest} }}")


# All kinds of bottoms: 1 x 1, Winograd's, oneDNN's, in groups, a product over a part, a pooling
FIRE = (input_layer("data", 2, 16, 21, 23) + conv("squeeze", "data", 32)
        + one("left", "squeeze", 24) + layer("left_relu", "ReLU", "left", "left")
        + conv("right", "squeeze", 40) + layer("right_relu", "ReLU", "right", "right")
        + conv("groups", "squeeze", 64, "group: 2")
        + layer("wide", "Convolution", "squeeze", None,
                "convolution_param { num_output: 5 kernel_size: 5 pad: 2 }")
        + layer("pool", "Pooling", "squeeze", None,
                "pooling_param { kernel_size: 3 stride: 1 pad: 1 }")
        + layer("concat", "Concat", "left right pool groups wide")
        + layer("after", "ReLU", "concat", "concat") + one("last", "concat", 10))


def unit(name, bottom, stride, branch):
    """A unit of a ResNet; the sum with its bottom or with a convolution of it."""
    stride = f"stride: {stride}"
    return (one(f"{name}_1", bottom, 16, stride) + conv(f"{name}_2", f"{name}_1", 32)
            + layer(f"{name}_relu", "ReLU", f"{name}_2", f"{name}_2")
            + (one(f"{name}_0", bottom, 24, stride) if branch else "")
            + one(f"{name}_3", f"{name}_2", 24)
            + layer(f"{name}_sum", "Eltwise", f"{name}_3 {f'{name}_0' if branch else bottom}")
            + layer(name, "ReLU", f"{name}_sum"))


RESNET = (input_layer("data", 1, 24, 21, 24) + unit("a", "data", 1, True) + unit("b", "a", 1, False)
          + unit("c", "b", 2, True) + unit("d", "c", 1, False) + one("end", "d", 7, "stride: 2"))
NETS = {"fire": FIRE, "resnet": RESNET}


@pytest.fixture(params=NETS)
def built(request):
    made = net(NETS[request.param], phase=caffe.TEST)
    fill(made)
    return made


def passes(built, expected):
    for _ in range(3):
        for name, array in outputs(built).items():
            assert_near(array, expected[name], name)


def test_outputs_and_then_all_blobs(built):
    expected = unplanned(built)
    passes(built, expected)
    assert_same(built, expected)
    passes(built, expected)


def names_of(text):
    return [name for name in net(text, phase=caffe.TEST).blobs if "_split_" not in name]


@pytest.mark.parametrize(("text", "name"),
                         [(text, name) for text in NETS.values() for name in names_of(text)])
def test_one_blob_that_is_read_after_every_pass(text, name):
    built = net(text, phase=caffe.TEST)
    fill(built)
    expected = unplanned(built)
    for _ in range(5):
        built.forward()
        assert_near(built.blobs[name].data, expected[name], name)


def test_arrays_in_a_programs_hands(built):
    expected = unplanned(built)
    built.forward()
    arrays = {name: blob.data for name, blob in built.blobs.items() if name != "data"}
    passes(built, expected)
    for name, array in arrays.items():
        assert_near(array, expected[name], name)


@pytest.mark.parametrize("name", ["left", "right", "concat"])
def test_an_array_or_a_tensor_of_a_part_is_nobody_elses(name):
    built = net(FIRE, phase=caffe.TEST)
    fill(built)
    expected = unplanned(built)
    built.forward()
    built.forward()
    built.blobs[name].data[...] = 7
    built.blobs["left"].tensor.detach().add_(1)
    others = set(expected) - {name, "left"}
    assert_same(built, expected, [other for other in others if "_split_" not in other])


def test_inputs_of_another_shape(built):
    built.forward()
    for shape in ((1, 13, 16), (3, 9, 9), (2, 22, 21)):
        images, *size = shape
        data = built.blobs["data"]
        data.reshape(images, data.shape[1], *size)
        data.data[...] = np.random.RandomState(2).normal(0, 1, data.shape)
        expected = unplanned(built)
        passes(built, expected)
        assert_same(built, expected)


def test_with_and_without_a_plan_in_turn(built):
    expected = unplanned(built)
    for _ in range(2):
        passes(built, expected)
        assert_same(built, unplanned(built))


def test_layers_that_run_by_themselves_afterwards(built):
    expected = unplanned(built)
    passes(built, expected)
    last = list(built.layer_dict)[-1]
    built.forward(start=last)
    assert_same(built, expected)


def test_callbacks_run_every_layer(built):
    expected, seen = unplanned(built), []
    passes(built, expected)
    built.after_forward(seen.append)
    passes(built, expected)
    assert seen == [*range(len(built.layers))] * 3
    assert_same(built, expected)


def test_what_the_plan_of_a_resnet_leaves_out():
    built = net(RESNET, phase=caffe.TEST)
    fill(built)
    outputs(built), outputs(built)
    chains = {step.chain.host.param.name: step for step in built._planner._chains.values()}
    assert {name for name, step in chains.items() if step.thinning == 2} == \
        {"b_2", "b_3", "d_2", "d_3"}
    assert {name for name, step in chains.items() if step.overwrites} >= {"a_3", "c_3"}


def test_which_bottoms_lie_in_the_top_of_the_concat():
    built = net(FIRE, phase=caffe.TEST)
    fill(built)
    outputs(built), outputs(built)
    slots = {step.chain.host.param.name for step in built._planner._chains.values()
             if step.slot is not None}
    assert slots == {"left", "right", "groups", "wide"}


@pytest.mark.parametrize(("text", "name"),
                         [(text, name) for text in NETS.values() for name in names_of(text)])
def test_an_array_that_a_program_got_when_the_net_ran_without_a_plan(text, name):
    """The plan that is there does not know that somebody holds it."""
    built = net(text, phase=caffe.TEST)
    fill(built)
    for _ in range(3):
        built.forward()
    unplanned(built)
    array = built.blobs[name].data
    built.blobs["data"].data[...] = np.random.RandomState(5).normal(0, 1, built.blobs["data"].shape)
    found = outputs(built)
    held = array.copy()
    expected = unplanned(built)
    for output, values in found.items():
        assert_near(values, expected[output], output)
    assert_near(held, expected[name], name)


class FailsAtSeven(caffe.Layer):
    """Copies its bottom, but fails where the first value is 7."""

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        if bottom[0].data.flat[0] == 7:
            raise ValueError("seven")
        top[0].data[...] = bottom[0].data


def test_a_pass_that_fails_leaves_no_thinned_top():
    built = net(input_layer("data", 1, 16, 9, 9) + input_layer("flag", 1) + conv("wide", "data", 24)
                + one("left", "wide", 8, "stride: 2")
                + layer("flag_copy", "Python", "flag", None,
                        f'python_param {{ module: "{__name__}" layer: "FailsAtSeven" }}')
                + one("right", "wide", 8, "stride: 2"), phase=caffe.TEST)
    fill(built)
    built.blobs["flag"].data[...] = 1
    for _ in range(3):
        built.forward()
    assert any(step.thinning == 2 for step in built._planner._chains.values())
    built.blobs["flag"].data[...] = 7
    with pytest.raises(ValueError, match="seven"):
        built.forward()
    array = built.blobs["wide"].data
    built.blobs["flag"].data[...] = 1
    built.blobs["data"].data[...] *= -2
    found = outputs(built)
    held = array.copy()
    expected = unplanned(built)
    for name, values in found.items():
        assert_near(values, expected[name], name)
    assert_near(held, expected["wide"], "wide")
