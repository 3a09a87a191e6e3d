"""Net as pycaffe's users know it; the numbers of whole nets are judged in test_golden.py."""
import time

import numpy as np
import pytest
import torch
from net_texts import REGRESSION, conv, fc, input_layer, layer, net

import caffe


@pytest.fixture
def regression():
    """A net with inputs and random weights; `loss` hangs on `out` and `target`."""
    caffe.set_random_seed(1)
    built = net(REGRESSION)
    rng = np.random.default_rng(1)
    for name in built.inputs:
        built.blobs[name].data[...] = rng.normal(size=built.blobs[name].shape)
    return built


def numeric_gradient(built, blob, loss, epsilon=1e-2):
    """Central differences of the net's loss for every value of a blob."""
    values, gradient = blob.data, np.zeros(blob.shape)
    for index in np.ndindex(*blob.shape):
        kept, sides = values[index], []
        for side in (epsilon, -epsilon):
            values[index] = kept + side
            sides.append(loss())
        values[index] = kept
        gradient[index] = (sides[0] - sides[1]) / (2 * epsilon)
    return gradient


def test_gradients_are_slopes_of_the_loss(regression):
    regression.forward()
    regression.backward()
    for name in ("hidden", "out"):
        for blob in regression.params[name]:
            slope = numeric_gradient(regression, blob, lambda: regression._forward(0, 5))
            np.testing.assert_allclose(blob.diff, slope, rtol=2e-2, atol=5e-3)


@pytest.mark.parametrize("arguments", [
    (caffe.TEST,), (1,), ()])
def test_ways_to_construct(tmp_path, regression, arguments):
    path, weights = tmp_path / "net.prototxt", tmp_path / "w.caffemodel"
    path.write_text(REGRESSION)
    regression.save(weights)
    built = caffe.Net(str(path), *arguments, **({} if arguments else {"phase": caffe.TEST}),
                      weights=weights)
    older = caffe.Net(str(path), str(weights), caffe.TEST)
    assert built.phase is older.phase is caffe.TEST
    for other in (built, older):
        np.testing.assert_array_equal(other.params["out"][0].data, regression.params["out"][0].data)


def test_phase_must_be_given(tmp_path):
    with pytest.raises(TypeError, match="phase"):
        caffe.Net(str(tmp_path / "net.prototxt"))


def test_level_and_stages_by_position():
    text = input_layer("x", 1) + layer(
        "deep", "AbsVal", "x", None, "include { min_level: 2 stage: 'a' }")
    message = caffe.prototxt.read_net_text(text)
    assert "deep" in caffe.Net(message, caffe.TEST, 2, ["a", "b"])._layer_names
    assert "deep" not in caffe.Net(message, caffe.TEST, level=1, stages=["a"])._layer_names


def test_forward_returns_living_views(regression):
    loss = regression.forward()["loss"]
    first = float(loss)
    regression.blobs["target"].data[...] += 1
    regression.forward()
    assert float(loss) == float(regression.blobs["loss"].data) != first


def test_blobs_may_be_written_between_layers(regression):
    regression.forward(end="hidden")
    regression.blobs["hidden"].data[...] = 0
    out = regression.forward(start="tanh", end="out")["out"]
    np.testing.assert_array_equal(out, np.tile(regression.params["out"][1].data, (4, 1)))


def test_weights_may_be_written(regression):
    regression.params["out"][0].data[...] = 0
    regression.params["out"][1].data[...] = [1, 2]
    np.testing.assert_array_equal(regression.forward(blobs=["out"])["out"], [[1, 2]] * 4)


def test_channels_last_weights_are_written_in_caffes_order():
    built = net(input_layer("x", 1, 2, 3, 3), conv("c", "x", 1), phase=caffe.TEST)
    built.params["c"][0].data[...] = np.arange(18).reshape(1, 2, 3, 3)
    built.blobs["x"].data[0, 1, 1, 1] = 1       # picks kernel values of channel 1
    np.testing.assert_array_equal(built.forward()["c"][0, 0],
                                  np.arange(9, 18).reshape(3, 3)[::-1, ::-1])


def test_backward_from_a_hand_written_gradient():
    """As DeepDream does it: a gradient in the middle, in a net in phase TEST."""
    built = net("force_backward: true ", input_layer("x", 1, 2, 4, 4), conv("c", "x", 3),
                layer("r", "ReLU", "c", "c"), fc("f", "c", 2), phase=caffe.TEST)
    built.blobs["x"].data[...] = np.random.default_rng(0).normal(size=(1, 2, 4, 4))
    built.forward(end="r")
    built.blobs["c"].diff[...] = built.blobs["c"].data
    built.backward(start="r")
    x = torch.tensor(built.blobs["x"].data, requires_grad=True)
    weight, bias = (torch.tensor(blob.data) for blob in built.params["c"])
    top = torch.relu(torch.nn.functional.conv2d(x, weight, bias, padding=1))
    top.backward(top.detach())
    np.testing.assert_allclose(built.blobs["x"].diff, x.grad, rtol=1e-4, atol=1e-4)


def test_backward_twice_adds_up_for_parameters_only(regression):
    regression.forward()
    regression.backward()
    once, below = regression.params["out"][0].diff.copy(), regression.blobs["out"].diff.copy()
    regression.backward()
    np.testing.assert_allclose(regression.params["out"][0].diff, 2 * once, rtol=1e-6)
    np.testing.assert_array_equal(regression.blobs["out"].diff, below)
    regression.clear_param_diffs()
    assert not regression.params["out"][0].diff.any()


def test_backward_works_after_a_pass_that_recorded_nothing(regression):
    regression.forward()
    regression.backward()
    expected = regression.params["hidden"][0].diff.copy()
    regression.clear_param_diffs()
    regression.run_forward(record=False)
    regression.backward()
    np.testing.assert_allclose(regression.params["hidden"][0].diff, expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_one_blob_is_no_other_blobs_memory():
    built = net("force_backward: true ", input_layer("a", 2), input_layer("b", 2),
                layer("sum", "Eltwise", "a b"))
    built.forward()
    built.backward(sum=np.ones(2))
    built.blobs["a"].diff[...] = 5
    assert built.blobs["b"].diff.tolist() == built.blobs["sum"].diff.tolist() == [1, 1]


def test_in_place_after_a_layer_that_only_passes_on():
    """A Dropout that does nothing must not let the next layer in place reach its bottom."""
    built = net(input_layer("x", 3), layer("d", "Dropout", "x"), layer("r", "ReLU", "d", "d"),
                phase=caffe.TEST)
    built.blobs["x"].data[...] = [-1, 0, 1]
    assert built.forward()["d"].tolist() == [0, 0, 1]
    assert built.blobs["x"].data.tolist() == [-1, 0, 1]


def test_repeating_a_layer_in_place():
    built = net("force_backward: true ", input_layer("x", 1, 1, 3, 3), conv("c", "x", 2),
                layer("r", "ReLU", "c", "c", "relu_param { negative_slope: 0.5 }"))
    built.blobs["x"].data[...] = 1
    built.params["c"][0].data[...] = -1
    built.forward()
    once = built.blobs["c"].data.copy()
    built.forward(start="r")
    np.testing.assert_array_equal(built.blobs["c"].data, once / 2)
    built.backward(c=np.ones(once.shape))
    assert (built.blobs["c"].diff == 0.5).all()


def test_all_items_in_batches():
    built = net("force_backward: true ", input_layer("x", 2, 1), layer("y", "Power", "x", None,
                "power_param { power: 2 }"))
    x = np.arange(5.0).reshape(5, 1)
    np.testing.assert_array_equal(built.forward_all(x=x)["y"], x ** 2)
    results, gradients = built.forward_backward_all(x=x, y=np.ones((5, 1)))
    np.testing.assert_array_equal(results["y"], x ** 2)
    np.testing.assert_array_equal(gradients["x"], 2 * x)


def test_a_new_shape_flows_through_forward(regression):
    for name, width in (("data", 3), ("target", 2)):
        regression.blobs[name].reshape(7, width)
    regression.forward()
    assert regression.blobs["hidden"].shape == (7, 5)
    regression.backward()
    assert regression.blobs["hidden"].diff.shape == (7, 5)


def test_layers_by_name_and_type(regression):
    assert [runner.type for runner in regression.layers] == [
        "Input", "Input", "InnerProduct", "TanH", "InnerProduct", "EuclideanLoss"]
    assert regression.layer_dict["out"] is regression.layers[4]
    assert len(regression.layer_dict["out"].blobs) == 2
    assert [regression._blob_names[i] for i in regression._outputs] == regression.outputs


def test_copy_from_reports_what_it_did(tmp_path, regression):
    path = tmp_path / "w.caffemodel"
    regression.save(path)
    other = net(input_layer("data", 4, 3), fc("hidden", "data", 5), fc("fresh", "hidden", 2))
    report = other.copy_from(path)
    assert report == other.last_copy == (["hidden"], ["out"], ["fresh"], [])


def test_a_wrong_shape_changes_nothing(tmp_path, regression):
    path = tmp_path / "w.caffemodel"
    regression.save(path)
    other = net(input_layer("data", 4, 3), fc("hidden", "data", 5), fc("out", "hidden", 3))
    before = other.params["hidden"][0].data.copy()
    with pytest.raises(caffe.errors.WeightsError, match="param 0 weights from layer 'out'; shape "
                       r"mismatch.*\(2, 5\).*\(3, 5\).*rename the layer"):
        other.copy_from(path)
    np.testing.assert_array_equal(other.params["hidden"][0].data, before)


def test_hdf5_keeps_shared_blobs_once(tmp_path):
    shared = 'param { name: "w" } param { name: "b" }'
    text = (input_layer("x", 1, 2), fc("one", "x", 2, shared), fc("two", "one", 2, shared))
    built, path = net(*text), tmp_path / "w.h5"
    built.save_hdf5(path)
    other = net(*text)
    other.load_hdf5(path)
    np.testing.assert_array_equal(other.params["two"][0].data, built.params["one"][0].data)
    other.params["one"][0].data[...] = 3
    assert (other.params["two"][0].data == 3).all()


def test_permissive_sharing_under_another_shape():
    built = net(input_layer("x", 1, 2, 3, 3), input_layer("t", 1, 1),
                conv("c", "x", 3, 'param { name: "w" }'),
                layer("f", "InnerProduct", "c", None, 'param { name: "w" share_mode: PERMISSIVE } '
                      "inner_product_param { num_output: 2 bias_term: false }"),
                fc("g", "f", 1), layer("loss", "EuclideanLoss", "g t"))
    assert built.params["f"][0].shape == (2, 27) and built.params["c"][0].shape == (3, 2, 3, 3)
    built.params["f"][0].data[...] = np.arange(54).reshape(2, 27)
    np.testing.assert_array_equal(built.params["c"][0].data.ravel(), np.arange(54))
    assert len(built.learnables) == 4


@pytest.mark.parametrize("texts, message", [
    ([input_layer("x", 2, 3), fc("a", "x", 2, "param { } param { } param { }")],
     'layer "a".*at most 2 param blocks.*got 3'),
    ([input_layer("x", 2), layer("a", "AbsVal", "x"), input_layer("a", 2)],
     '"a" is already made by layer "a"'),
    ([input_layer("x", 2, 3), fc("a", "x", 2, 'param { name: "w" lr_mult: 1 }'),
      fc("b", "x", 2, 'param { name: "w" lr_mult: 2 }')],
     'layer "b".*shared as "w" with layer "a".*lr_mult 1, not 2'),
    ([input_layer("x", 2), layer("a", "Convolutoin", "x")], 'did you mean "Convolution"'),
])
def test_what_cannot_be_built(texts, message):
    with pytest.raises(caffe.CaffeError, match=message):
        net(*texts)


def test_labels_take_no_gradient():
    built = net(input_layer("x", 2, 3), fc("a", "x", 3), fc("t", "x", 1),
                layer("loss", "SoftmaxWithLoss", "a t"))
    built.forward()
    with pytest.raises(caffe.CaffeError, match=r'bottom 1 \("t"\).*propagate_down: false'):
        built.backward()


@pytest.mark.parametrize("call, message", [
    (lambda n: n.forward(start="hiden"), 'did you mean "hidden"'),
    (lambda n: n.forward(blobs=["nothing"]), 'no blob "nothing"'),
    (lambda n: n.forward(data=np.zeros((4, 3))), "an array for each input"),
    (lambda n: n.forward(data=np.zeros((3, 3)), target=np.zeros((4, 2))), "expected 4 items"),
    (lambda n: n.forward(data=np.zeros((4, 9)), target=np.zeros((4, 2))), "does not fit"),
])
def test_what_cannot_be_run(regression, call, message):
    with pytest.raises((caffe.CaffeError, ValueError, KeyError), match=message):
        call(regression)


def test_errors_in_a_pass_name_the_layer(regression):
    regression.blobs["data"].reshape(4, 9)
    with pytest.raises(caffe.CaffeError, match='layer "hidden"'):
        regression.forward()


def test_the_engine_adds_little_to_a_layer():
    """Less than 30 microseconds of processor time per layer in the forward pass."""
    count = 50
    chain = [layer(f"b{i + 1}", "ReLU", f"b{i}") for i in range(count)]
    built = net(input_layer("b0", 4), *chain, phase=caffe.TEST)
    times = []
    for _ in range(20):
        start = time.thread_time()
        built.run_forward()
        times.append(time.thread_time() - start)
    assert min(times) / count < 30e-6


# -- two layers of one name

TWINS = (input_layer("x", 2, 3), fc("fc", "x", 3), fc("fc", "fc", 3).replace(
    'top: "fc"', 'top: "out"'), layer("fc", "ReLU", "out", "out"))


def test_two_layers_of_one_name_are_named_when_the_net_is_built(caplog):
    with caplog.at_level("WARNING", "caffe"):
        net(*TWINS)
    message = caplog.records[0].getMessage()
    assert message.startswith("layers 1 (InnerProduct) and 2 (InnerProduct) of the net have the "
                              'same name "fc"; Caffe would load the weights of the second')
    caplog.clear()
    net(input_layer("x", 2, 3), fc("fc", "x", 3), layer("fc", "ReLU", "fc", "fc"))
    assert not caplog.records       # nothing that is learned is mixed up


def test_layers_of_one_name_get_their_own_weights_back(tmp_path):
    first = net(*TWINS)
    first.save(tmp_path / "w")
    second = net(*TWINS)
    report = second.copy_from(tmp_path / "w")
    assert report.copied == ["fc", "fc"] and not report.missing
    shared = net(*TWINS)
    shared.share_with(first)
    for number in (1, 2):
        wanted = first.layers[number].blobs[0].data
        assert not np.array_equal(wanted, first.layers[3 - number].blobs[0].data)
        np.testing.assert_array_equal(second.layers[number].blobs[0].data, wanted)
        np.testing.assert_array_equal(shared.layers[number].blobs[0].data, wanted)


def test_one_layer_and_two_of_its_name_in_the_file_or_the_net(tmp_path):
    """Caffe's rule: the first of the net gets the last of the file."""
    twins, single = net(*TWINS), net(input_layer("x", 2, 3), fc("fc", "x", 3))
    twins.save(tmp_path / "twins")
    single.copy_from(tmp_path / "twins")
    np.testing.assert_array_equal(single.params["fc"][0].data, twins.layers[2].blobs[0].data)
    single.params["fc"][0].data[...] = 7
    single.save(tmp_path / "single")
    before = twins.layers[2].blobs[0].data.copy()
    assert twins.copy_from(tmp_path / "single").missing == ["fc"]
    assert (twins.layers[1].blobs[0].data == 7).all()
    np.testing.assert_array_equal(twins.layers[2].blobs[0].data, before)
