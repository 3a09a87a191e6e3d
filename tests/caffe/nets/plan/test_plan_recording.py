"""Recorded operators, called again with other inputs."""
import gc
import subprocess
import sys
import weakref

import pytest
import torch
import torch.nn.functional as F

from caffe.nets.plan.recording import Recorder
from caffe.operators import pointwise, pooling
from caffe.operators.registration import are_compiled

pytestmark = pytest.mark.skipif(not are_compiled(), reason="plain operators are not recorded")
WEIGHT, BIAS = torch.randn(8, 3, 3, 3), torch.randn(8)
PACKED = pointwise.pointwise_pack(torch.randn(16, 8, 1, 1))


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad(), torch._C._AutoDispatchBelowAutograd():
        yield


def inputs():
    return [torch.randn(2, 3, 8, 8), torch.randn(1)]


def recorded(function, given):
    recorder = Recorder(given)
    with recorder:
        outputs = function(*given)
    return recorder.replay_of(outputs)


def many_operators(x, y):
    """Lists, numbers for tensors, formats, types, several results, changes in place, slices."""
    z = torch.relu_(F.conv2d(x, WEIGHT, BIAS, padding=1)).contiguous(
        memory_format=torch.channels_last)
    z = pointwise.pointwise_conv(z, PACKED, low=0, high=6)
    first, second = z.chunk(2, 1)
    z = pooling.average_pool(torch.cat([first, second, first], 1), (2, 2), (2, 2), (0, 0), (4, 4))
    whole = torch.empty(2, 24, 4, 4, memory_format=torch.channels_last)
    whole.copy_(z)
    whole[:, :3].mul_(2)
    pointwise.pointwise_conv(z[:, :8], PACKED, out=whole[:, 4:20])
    most, places = F.max_pool2d(whole, 2, return_indices=True)
    return (whole + y, torch.softmax(most, 1), places, most.flatten(1).to(torch.float64),
            F.leaky_relu(whole, 0.1), whole.mean((2, 3), keepdim=True), whole.clamp(max=1))


def test_a_replay_computes_what_the_function_does():
    replay = recorded(many_operators, inputs())
    for _ in range(3):
        given = inputs()
        for found, expected in zip(replay(given), many_operators(*given), strict=True):
            assert found.dtype == expected.dtype and found.stride() == expected.stride()
            assert torch.equal(found, expected)


def test_an_optional_list_of_numbers():
    packed = torch._C._nn.mkldnn_reorder_conv2d_weight(WEIGHT.to_mkldnn(), [1, 1], [1, 1], [1, 1],
                                                       1, [2, 3, 8, 8])

    def convolution(x, y):
        return [torch.ops.mkldnn._convolution_pointwise(
            x, packed, BIAS, [1, 1], [1, 1], [1, 1], 1, name, scalars, "")
            for name, scalars in (("hardtanh", [0.0, 6.0]), ("relu", []))]

    replay = recorded(convolution, inputs())
    given = inputs()
    for found, expected in zip(replay(given), convolution(*given)):
        torch.testing.assert_close(found, expected)


def test_an_input_may_be_changed_and_returned():
    replay = recorded(lambda x, y: [x.add_(y), x], inputs())
    given = inputs()
    expected = given[0] + given[1]
    found = replay(given)
    assert found[0] is found[1] or found[0].data_ptr() == given[0].data_ptr()
    assert torch.equal(given[0], expected)


def test_a_constant_has_the_value_that_it_has_at_the_replay():
    factor = torch.tensor(2.0)
    replay = recorded(lambda x, y: [x * factor], inputs())
    factor.fill_(3.0)
    given = inputs()
    assert torch.equal(replay(given)[0], given[0] * 3)


def test_numbers_for_python_cannot_be_replayed():
    assert recorded(lambda x, y: [x * y.item()], inputs()) is None
    assert recorded(lambda x, y: [x if y > 0 else -x], inputs()) is None


@pytest.mark.parametrize("function", [
    lambda x, y: [torch.from_numpy(x.numpy() * 2)], lambda x, y: [x + torch.tensor(float(len(x)))],
    lambda x, y: [x + torch.from_numpy(y.numpy())]], ids=["numpy", "tensor", "added"])
def test_numbers_of_python_cannot_be_replayed(function):
    assert recorded(function, inputs()) is None


def test_a_tensor_that_no_operator_made_cannot_be_returned():
    assert recorded(lambda x, y: [BIAS], inputs()) is None


@pytest.mark.parametrize("function", [
    lambda x, y: [BIAS.add_(1)], lambda x, y: [x + BIAS[:1].copy_(y)],
    lambda x, y: [BIAS * 1, BIAS], lambda x, y: [BIAS[2:]]],
    ids=["in place", "by a view", "returned", "returned view"])
def test_constants_stay_inside_and_as_they_are(function):
    assert recorded(function, inputs()) is None


def test_a_tensor_given_twice_cannot_be_told_from_itself():
    both = torch.randn(2)
    assert recorded(lambda x, y: [x - y], [both, both]) is None
    assert recorded(lambda x, y: [x - y], [both, both.detach()]) is not None


def test_an_empty_constant_hinders_nothing():
    nothing, given = torch.empty(0, 3, 8, 8), inputs()
    replay = recorded(lambda x, y: [torch.cat([x, nothing]), x[:0] * 2, x[:0].add_(1)], given)
    for found, shape in zip(replay(given), [(2, 3, 8, 8), (0, 3, 8, 8), (0, 3, 8, 8)]):
        assert found.shape == shape


def test_indices_of_which_some_are_missing_cannot_be_replayed():
    order = torch.tensor([1, 0, 2])
    assert recorded(lambda x, y: [x[:, order]], inputs()) is None
    replay, given = recorded(lambda x, y: [x.permute(1, 0, 2, 3)[order]], inputs()), inputs()
    assert torch.equal(replay(given)[0], given[0].permute(1, 0, 2, 3)[order])


def test_nothing_is_kept_longer_than_it_is_read():
    alive = []

    def function(x, y):
        for _ in range(4):
            x = x + 1
            alive.append(weakref.ref(x))
        return [x]

    given = inputs()
    recorder = Recorder(given)
    with recorder:
        outputs = function(*given)
    gc.collect()
    assert [reference() is not None for reference in alive] == [False, False, False, True]
    assert recorder.replay_of(outputs)(given)[0].shape == given[0].shape


def test_the_number_of_inputs_is_checked():
    replay = recorded(lambda x, y: [x + y], inputs())
    with pytest.raises(ValueError, match="expected 2 inputs, got 1"):
        replay([torch.zeros(1)])


def test_recording_does_not_import_the_compiler():
    """It would take 3 s, in the third pass of every test net."""
    program = ("import sys, torch\nfrom caffe.nets.plan.recording import Recorder\n"
               "x = torch.zeros(2)\nwith torch.no_grad(), Recorder([x]):\n    x + 1\n"
               "print('torch._dynamo' in sys.modules)")
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                           check=True)
    assert found.stdout == "False\n"
