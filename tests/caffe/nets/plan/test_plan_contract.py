"""What pycaffe promises holds for planned nets: every blob, every parameter, at any moment."""
import gc

import numpy as np
import pytest
import torch
from net_texts import input_layer, layer, net
from planned import (
    HIDDEN,
    RESIDUAL,
    assert_near,
    assert_same,
    fill,
    is_planned,
    outputs,
    planning,
    training_and_test_net,
    unplanned,
)

import caffe
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers.updates import SGD, Updater


@pytest.fixture
def built():
    made = net(RESIDUAL, phase=caffe.TEST)
    fill(made)
    return made


def twin(built, tmp_path):
    """Another net with the same weights and input."""
    path = str(tmp_path / "twin.caffemodel")
    built.save(path)
    other = net(RESIDUAL, phase=caffe.TEST, weights=path)
    other.blobs["data"].data[...] = built.blobs["data"].data
    return other


def layers_of_chains(built):
    return {layer.name for step in built._planner._chains.values() for layer in step.chain.layers}


# ------------------------------------------------------------------------------- hidden blobs

@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_blob_has_its_values_when_it_is_read(built, name):
    expected = unplanned(built)
    built.forward()
    assert all(built.blobs[hidden].values.is_deferred for hidden in HIDDEN)
    assert built.blobs[name].shape == expected[name].shape
    assert_near(built.blobs[name].data, expected[name])
    assert_same(built, expected)


def test_a_blob_that_was_read_is_not_hidden_again(built):
    built.forward()
    built.blobs["scale"].data.copy()
    built.forward()
    assert not built.blobs["scale"].values.is_deferred and built.blobs["conv"].values.is_deferred


def test_forward_returns_hidden_blobs_that_are_asked_for(built):
    expected = unplanned(built)
    for _ in range(2):
        found = built.forward(blobs=["bn", "sum"])
        for name in ("bn", "sum", "prob"):
            assert_near(found[name], expected[name], name)


def test_a_hidden_blob_is_that_of_the_last_pass_whatever_was_written_since(built):
    expected = unplanned(built)
    built.forward()
    built.blobs["data"].data[...] = 7
    built.blobs["first"].data[...] = 8
    built.params["conv"][0].data[...] = 0
    built.params["bn"][1].data[...] = 9
    for name in HIDDEN:
        assert_near(built.blobs[name].data, expected[name], name)


def test_the_input_of_a_hidden_blob_is_written_through_an_older_array():
    built = net(input_layer("data", 1, 3, 5, 5)
                + layer("conv", "Convolution", "data", None,
                        "convolution_param { num_output: 2 kernel_size: 3 }")
                + layer("relu", "ReLU", "conv"), phase=caffe.TEST)
    fill(built)
    array, tensor = built.blobs["data"].data, built.blobs["data"].tensor
    expected = unplanned(built)
    for write in (lambda: array.fill(3), lambda: tensor.fill_(4)):
        built.forward()
        kept = unplanned(built)["conv"]
        built.forward()
        write()
        assert_near(built.blobs["conv"].data, kept)
        built._planner._visible.clear()
    assert not np.array_equal(kept, expected["conv"])


def test_the_input_of_a_hidden_blob_shares_memory_with_a_blob_that_changes():
    built = net(input_layer("data", 1, 3, 5, 5)
                + layer("twice", "Eltwise", "data data") + layer("scale", "Scale", "twice", "twice")
                + layer("drop", "Dropout", "twice")
                + layer("conv", "Convolution", "drop", None,
                        "convolution_param { num_output: 2 kernel_size: 3 }")
                + layer("relu", "ReLU", "conv"), phase=caffe.TEST)
    fill(built)
    expected = unplanned(built)
    for change in (lambda: built.forward(start="scale", end="scale"),
                   lambda: built.blobs["twice"].data.fill(9)):
        built._planner._visible.clear()
        built.forward()
        change()
        assert_near(built.blobs["conv"].data, expected["conv"])


def test_an_array_of_a_hidden_blob_shows_later_passes(built):
    array = built.blobs["bn"].data
    built.forward()
    built.blobs["data"].data[...] *= 2
    built.forward()
    assert_near(array, unplanned(built)["bn"])


def test_a_hidden_blob_can_be_written(built):
    built.forward()
    built.blobs["bn"].data[...] = 1.5
    assert (built.blobs["bn"].data == 1.5).all()
    built.forward(start="scale")
    scale, shift = (blob.data for blob in built.params["scale"])
    np.testing.assert_allclose(built.blobs["scale"].data[0, :, 0, 0], 1.5 * scale + shift,
                               rtol=1e-5)


def test_a_hidden_blob_can_be_reshaped(built):
    expected = unplanned(built)
    built.forward()
    built.blobs["conv"].reshape(1, 8, 9, 11)
    assert_near(built.blobs["conv"].data, expected["conv"][:1])
    assert_near(built.forward()["prob"], expected["prob"])


# ---------------------------------------------------------------------------- partial passes

@pytest.mark.parametrize("start", ["conv", "scale", "sum", "relu", "fc"])
def test_a_pass_from_any_layer(built, start):
    expected = unplanned(built)
    built.forward()
    assert_near(built.forward(start=start)["prob"], expected["prob"])
    assert_same(built, expected)


@pytest.mark.parametrize("end", ["conv", "bn", "sum"])
def test_a_pass_to_any_layer(built, end):
    expected = unplanned(built)
    built.forward()
    built.blobs["data"].data[...] *= -1
    changed = unplanned(built)
    built.blobs["data"].data[...] *= -1
    built.forward()
    built.blobs["data"].data[...] *= -1
    assert_near(built.forward(end=end)[built.top_names[end][0]],
                changed[built.top_names[end][0]])
    assert_near(built.blobs["prob"].data, expected["prob"])


def test_callbacks_see_every_layer(built):
    built.forward()
    seen = []
    built.before_forward(lambda i: seen.append(("before", i)))
    built.after_forward(lambda i: seen.append(("after", i)))
    expected = unplanned(built)
    seen.clear()
    built.forward()
    assert seen == [(word, i) for i in range(len(built.layers)) for word in ("before", "after")]
    assert_same(built, expected)


# -------------------------------------------------------------------------------- parameters

def write_array(blob):
    blob.data[...] *= 1.5


def write_tensor(blob):
    with torch.no_grad():
        blob.tensor.mul_(1.5)


def write_detached(blob):
    blob.tensor.detach()[...] *= 1.5


def assign(blob):
    blob.data = 1.5 * blob.data


def assign_tensor(blob):
    blob.tensor = 1.5 * blob.tensor.detach()


@pytest.mark.parametrize("write", [write_array, write_tensor, write_detached, assign,
                                   assign_tensor])
@pytest.mark.parametrize(("name", "index"), [("conv", 0), ("conv", 1), ("bn", 0), ("bn", 2),
                                             ("scale", 1), ("fc", 0), ("fc", 1)])
def test_a_written_parameter_counts_from_the_next_pass_on(built, write, name, index):
    before = built.forward()["prob"].copy()
    write(built.params[name][index])
    after = built.forward()["prob"].copy()
    assert is_planned(built)
    assert not np.array_equal(before, after)
    assert_near(after, unplanned(built)["prob"])


@pytest.mark.parametrize("name", ["conv", "bn", "scale", "fc"])
def test_an_array_of_a_parameter_is_written_again_and_again(built, name):
    array = built.params[name][0].data
    for factor in (2, 3, -1):
        built.forward()
        array *= factor
        assert_near(built.forward()["prob"], unplanned(built)["prob"])
    assert name not in layers_of_chains(built)
    del array
    gc.collect()
    built.forward()
    assert name in layers_of_chains(built)
    assert_near(built.forward()["prob"], unplanned(built)["prob"])


def test_a_tensor_of_a_parameter_is_written_again_and_again(built):
    tensor = built.params["conv"][0].tensor.detach()[0]
    for factor in (2, 3, -1):
        built.forward()
        tensor *= factor
        assert_near(built.forward()["prob"], unplanned(built)["prob"])


def test_parameters_are_the_files_numbers(built, tmp_path):
    before = {name: [blob.data.copy() for blob in blobs] for name, blobs in built.params.items()}
    built.forward()
    built.save(str(tmp_path / "after.caffemodel"))
    saved = caffe.weights.read_weights(str(tmp_path / "after.caffemodel"))
    for name, arrays in before.items():
        for i, array in enumerate(arrays):
            np.testing.assert_array_equal(built.params[name][i].data, array)
            np.testing.assert_array_equal(saved[name][i], array)


def test_other_weights_are_loaded(built, tmp_path):
    other = twin(built, tmp_path)
    fill(other, seed=5)
    other.save(str(tmp_path / "other.caffemodel"))
    before = built.forward()["prob"].copy()
    built.copy_from(str(tmp_path / "other.caffemodel"))
    after = built.forward()["prob"].copy()
    assert not np.array_equal(before, after)
    assert_near(after, unplanned(built)["prob"])


def test_weights_that_are_shared_with_another_net(built, tmp_path):
    other = twin(built, tmp_path)
    fill(other, seed=5)
    built.forward()
    other.forward()
    other.blobs["data"].data[...] = built.blobs["data"].data
    built.share_with(other)
    assert_near(built.forward()["prob"], other.forward()["prob"])
    other.params["scale"][0].data[...] *= -2
    expected = unplanned(other)["prob"]
    assert_near(built.forward()["prob"], expected)
    assert_near(other.forward()["prob"], expected)


def test_a_test_net_follows_the_training_net_whose_weights_it_shares():
    train, test = training_and_test_net()
    updater = Updater(SGD(SolverParameter(momentum=0.9)), train.learnables)
    for iteration in range(3):
        before = test.forward()["tanh"].copy()
        train.forward()
        train.backward()
        updater.apply(0.1, iteration)
        assert not np.array_equal(test.forward()["tanh"], before)
        assert_near(test.forward()["tanh"], unplanned(test)["tanh"])


# --------------------------------------------------------------------- shapes, and no plans

def test_other_shapes(built):
    for shape in ((1, 3, 9, 11), (3, 3, 9, 11), (2, 3, 9, 11)):
        built.blobs["data"].reshape(*shape)
        built.reshape()
        built.blobs["data"].data[...] = np.random.RandomState(1).normal(0, 1, shape)
        assert_near(built.forward()["prob"], unplanned(built)["prob"])
        assert_same(built, unplanned(built))


def test_a_shape_that_does_not_fit_is_refused_as_ever(built):
    built.forward()
    built.blobs["data"].reshape(2, 4, 9, 11)
    with pytest.raises(caffe.CaffeError) as planned_error:
        built.forward()
    with planning(False), pytest.raises(caffe.CaffeError) as plain_error:
        built.forward()
    assert str(planned_error.value) == str(plain_error.value)


def test_bottoms_without_items():
    built = net(input_layer("data", 1, 3, 8, 8)
                + layer("conv", "Convolution", "data", None,
                        "convolution_param { num_output: 2 kernel_size: 3 }")
                + layer("relu", "ReLU", "conv") + layer("fc", "InnerProduct", "relu", None,
                                                        "inner_product_param { num_output: 4 }"),
                phase=caffe.TEST)
    fill(built)
    built.forward()
    built.blobs["data"].reshape(0, 3, 8, 8)
    built.reshape()
    assert built.forward()["fc"].shape == (0, 4)
    built.blobs["data"].reshape(2, 3, 8, 8)
    built.reshape()
    assert_near(built.forward()["fc"], unplanned(built)["fc"])


def test_the_switch(built):
    built.forward()
    assert is_planned(built) and built.blobs["conv"].values.is_deferred
    with planning(False):
        built.forward()
        assert not built.blobs["conv"].values.is_deferred


def test_winograd_can_be_turned_off_later():
    built = net(input_layer("data", 1, 32, 28, 28)
                + layer("conv", "Convolution", "data", None,
                        "convolution_param { num_output: 32 kernel_size: 3 pad: 1 }"),
                phase=caffe.TEST)
    fill(built)
    with_it = outputs(built)["conv"]
    caffe.set_winograd(False)
    try:
        without = outputs(built)["conv"]
    finally:
        caffe.set_winograd(True)
    assert_near(without, with_it)
    np.testing.assert_array_equal(outputs(built)["conv"], with_it)


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_nets_with_gradients_have_no_plan(phase):
    built = net("force_backward: true " + RESIDUAL, phase=phase)
    fill(built)
    built.forward()
    assert not built._planner.allows()
    built.blobs["prob"].diff[...] = 1
    assert built.backward()["data"].shape == built.blobs["data"].shape


def test_float64_nets_have_no_chains(built):
    for runner in built._runners:
        if hasattr(runner, "module"):
            runner.module.double()
    built._planner._make()
    assert not built._planner._chains


def test_a_pass_repeats_itself_to_the_last_bit(built):
    first = outputs(built)["prob"]
    np.testing.assert_array_equal(outputs(built)["prob"], first)


def test_layers_in_place_run_by_themselves_behind_a_pass_in_inference_mode():
    text = (input_layer("data", 1, 3, 4, 4)
            + layer("conv", "Convolution", "data", None,
                    "convolution_param { num_output: 4 kernel_size: 1 }")
            + layer("scale", "Scale", "conv", "conv", "scale_param { bias_term: true }")
            + layer("softmax", "Softmax", "conv"))
    built = net(text, phase=caffe.TEST)
    fill(built)
    with torch.inference_mode():
        built.forward()
    built.forward(start="scale", end="scale")
    factor, bias = (blob.data.reshape(1, 4, 1, 1) for blob in built.params["scale"])
    found = built.blobs["conv"].data.copy()
    assert_near(found, unplanned(built)["conv"] * factor + bias)
