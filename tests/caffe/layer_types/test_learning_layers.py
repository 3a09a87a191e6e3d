"""Normalization, products, Dropout, RoI pooling, recurrent and source layers: by hand."""
import math

import numpy as np
import pytest
import torch
from layer_harness import build, gradient, run, values

from caffe.core.errors import LayerError
from caffe.proto import caffe_pb2

TEST = caffe_pb2.TEST


def test_lrn_by_hand():
    # channels 1, 2, 3; window of 3 channels, 0 outside, beta = 1 / 2:
    # k + alpha / size * sum of squares = 2 + 2 * (1 + 4), 2 + 2 * (1 + 4 + 9), 2 + 2 * (4 + 9)
    x = np.array([1., 2., 3.]).reshape(1, 3, 1, 1)
    top = run('type: "LRN" lrn_param { local_size: 3 alpha: 6 beta: 0.5 k: 2 }', x)
    expected = [1 / math.sqrt(12), 2 / math.sqrt(30), 3 / math.sqrt(28)]
    np.testing.assert_allclose(top.ravel(), expected, rtol=1e-6)
    # within the channel k is 1, and the mean is over 3 x 3 pixels: 1 + 9 / 9 * (1 + 4)
    x = np.array([1., 2.]).reshape(1, 1, 1, 2)
    top = run('type: "LRN" lrn_param { local_size: 3 alpha: 9 beta: 0.5 k: 7 '
              'norm_region: WITHIN_CHANNEL }', x)
    np.testing.assert_allclose(top.ravel(), [1 / math.sqrt(6), 2 / math.sqrt(6)], rtol=1e-6)


def test_batch_norm_by_hand():
    # channel 0 is 1, 3: mean 2, variance 1, corrected by 2 / (2 - 1)
    x = torch.tensor([[1., 5.], [3., 5.]])
    module = build('type: "BatchNorm" batch_norm_param { moving_average_fraction: 0.5 eps: 3 }',
                   x.shape)
    assert module(x).tolist() == [[-0.5, 0], [0.5, 0]]  # (1 - 2) / sqrt(1 + 3)
    module(x)
    mean, variance, weight = (blob.tolist() for blob in module.blobs)
    assert (mean, variance, weight) == ([3, 7.5], [3, 0], [1.5])  # new + 0.5 * old
    tested = build('type: "BatchNorm" batch_norm_param { eps: 2 }', x.shape, phase=TEST)
    assert tested(x).tolist() == [[pytest.approx(v / math.sqrt(2)) for v in row]
                                  for row in x.tolist()]  # weight 0: mean and variance 0
    for blob, value in zip(tested.blobs, module.blobs):
        blob.data.copy_(value)
    # sums / weight: means 2 and 5, variances 2 and 0
    assert tested(x)[:, 0].tolist() == [pytest.approx(v) for v in (-0.5, 0.5)]


def test_batch_norm_of_one_axis_has_one_channel():
    module = build('type: "BatchNorm"', (4,))
    assert module.blobs[0].shape == (1,)
    torch.testing.assert_close(module(torch.tensor([0., 0., 2., 2.])),
                               torch.tensor([-1., -1., 1., 1.]), rtol=1e-4, atol=0)


def test_batch_norm_statistics_do_not_learn():
    module = build('type: "BatchNorm"', (2, 3))
    assert [spec.lr_mult for spec in module.param.param] == [0, 0, 0]
    assert not any(blob.requires_grad for blob in module.blobs)
    with pytest.raises(LayerError, match="lr_mult 0"):
        build('type: "BatchNorm" param { lr_mult: 1 }', (2, 3))


def test_mvn_by_hand():
    # rows 1, 3 and 5, 5: mean and deviation (2, 1) and (5, 0); eps stands beside the deviation
    x = np.array([[[1., 3.], [5., 5.]]])
    top = run('type: "MVN" mvn_param { eps: 1 }', x)
    assert top.tolist() == [[[-0.5, 0.5], [0, 0]]]
    top = run('type: "MVN" mvn_param { across_channels: true normalize_variance: false }', x)
    assert top.tolist() == [[[-2.5, -0.5], [1.5, 1.5]]]
    grad = gradient('type: "MVN" mvn_param { eps: 1 }', [[[4, 0], [4, 0]]], x.tolist())
    # (g - mean g - y mean(g y)) / (deviation + eps): y = -+0.5, mean(g y) = -1; and y = 0
    assert grad.tolist() == [[[(4 - 2 - 0.5) / 2, (0 - 2 + 0.5) / 2], [2, -2]]]


def test_inner_product_flattens_in_nchw_order():
    x = torch.arange(12.).reshape(1, 2, 2, 3).contiguous(memory_format=torch.channels_last)
    text = 'type: "InnerProduct" inner_product_param {{ num_output: 12 bias_term: false {} }}'
    module = build(text.format(""), x.shape)
    module.blobs[0].data.copy_(torch.eye(12))
    assert module(x).tolist() == [list(range(12))]


def test_inner_product_axis_and_transpose():
    x = [[[1, 2], [3, 4]]]
    weight, bias = [[1, 0], [1, 1], [0, 2]], [0, 0, 1]
    text = 'type: "InnerProduct" inner_product_param {{ num_output: 3 axis: -1 {} }}'
    expected = [[[1, 3, 5], [3, 7, 9]]]
    assert run(text.format(""), x, blobs=(weight, bias)).tolist() == expected
    top = run(text.format("transpose: true"), x, blobs=(np.transpose(weight), bias))
    assert top.tolist() == expected
    assert run(text.replace("-1", "0").format("bias_term: false"), [1, 1],
               blobs=(weight,)).tolist() == [1, 2, 2]


def test_inner_product_refuses_other_inputs():
    module = build('type: "InnerProduct" inner_product_param { num_output: 2 }', (2, 3, 4))
    with pytest.raises(LayerError, match="expected 12 values .* got 15"):
        module.top_shapes([(2, 3, 5)])
    with pytest.raises(LayerError, match="num_output"):
        build('type: "InnerProduct"', (2, 3))


def test_embed():
    text = 'type: "Embed" embed_param { num_output: 2 input_dim: 3 }'
    top = run(text, [[2, 0]], blobs=([[1, 2], [3, 4], [5, 6]], [0, 1]))
    assert top.tolist() == [[[5, 7], [1, 3]]]
    with pytest.raises(LayerError, match="index in 0 .. 2, got 3"):
        run(text, [3])
    with pytest.raises(LayerError, match="input_dim"):
        build('type: "Embed" embed_param { num_output: 2 }', (2,))


@pytest.mark.parametrize("scale_train, factor", [("true", 1 / 0.6), ("false", 1)])
def test_dropout_in_training(scale_train, factor):
    torch.manual_seed(0)
    text = f'type: "Dropout" dropout_param {{ dropout_ratio: 0.4 scale_train: {scale_train} }}'
    x = torch.ones(10000, requires_grad=True)
    top = build(text, x.shape)(x)
    dropped = top == 0
    torch.testing.assert_close(top[~dropped], torch.full_like(top[~dropped], factor))
    assert abs(float(dropped.float().mean()) - 0.4) < 6 * math.sqrt(0.24 / 10000)
    assert torch.equal(torch.autograd.grad(top.sum(), x)[0] == 0, dropped)


@pytest.mark.parametrize("scale_train, factor", [("true", 1), ("false", 0.75)])
def test_dropout_in_testing(scale_train, factor):
    text = f'type: "Dropout" dropout_param {{ dropout_ratio: 0.25 scale_train: {scale_train} }}'
    assert run(text, [1, 2], phase=TEST).tolist() == [factor, 2 * factor]
    assert gradient(text, 4, [1, 2], phase=TEST).tolist() == [4 * factor] * 2


def test_dropout_ratio_must_leave_something():
    with pytest.raises(LayerError, match=r"in \[0, 1\), got 1"):
        build('type: "Dropout" dropout_param { dropout_ratio: 1 }', (2,))


def test_roi_pooling():
    features = np.arange(16.).reshape(1, 1, 4, 4)
    text = 'type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 2 spatial_scale: 0.5 }'
    # (0, 0)-(6, 2) becomes cells 0..3 by 0..1: bins of 2 x 2
    assert run(text, features, [[0, 0, 0, 6, 2]]).tolist() == [[[[5, 7]]]]
    assert run(text, features, np.zeros((0, 5))).shape == (0, 1, 1, 2)
    with pytest.raises(LayerError, match="pooled_h and pooled_w > 0"):
        build('type: "ROIPooling" roi_pooling_param { pooled_h: 2 }', (1, 1, 4, 4), (1, 5))
    with pytest.raises(LayerError, match=r"rois of shape \(R, 5\)"):
        run(text, features, [[0, 0, 0, 6]])


def test_roi_align():
    features = np.arange(12.).reshape(1, 1, 3, 4)       # 4 y + x
    text = 'type: "ROIAlign" {} {{ pooled_h: 1 pooled_w: 2 spatial_scale: 0.5 {} }}'
    # x from 0.5 to 2.5, y from 0 to 1, a sample in the middle of each bin of 1 x 1
    for options in (("roi_align_param", ""), ("roi_pooling_param", ""),
                    ("roi_align_param", "sampling_ratio: 4")):
        top = run(text.format(*options), features, [[0, 1, 0, 5, 2]])
        np.testing.assert_allclose(top, [[[[3, 4]]]], rtol=1e-6)
    top = run(text.format("roi_align_param", "aligned: true"), features, [[0, 1, 0, 5, 2]])
    np.testing.assert_allclose(top, [[[[0.5, 1.5]]]], rtol=1e-6)
    with pytest.raises(LayerError, match="pooled_h and pooled_w > 0"):
        build('type: "ROIAlign" roi_align_param { pooled_w: 2 }', (1, 1, 4, 4), (1, 5))
    with pytest.raises(LayerError, match=r"feature map of shape \(N, C, H, W\), got \(1, 4\)"):
        run(text.format("roi_align_param", ""), [[1, 2, 3, 4]], [[0, 0, 0, 6, 6]])


def test_psroi_pooling():
    # one class, 2 x 1 cells a bin: channel k holds 100 k + 4 y + x
    ramp = np.arange(16.).reshape(1, 1, 4, 4) + 100 * np.arange(4).reshape(1, 4, 1, 1)
    text = ('type: "PSROIPooling" psroi_pooling_param { output_dim: 1 group_size: 2 '
            'spatial_scale: 0.5 }')
    top = run(text, ramp, [[0, 0, 0, 7, 3]])
    np.testing.assert_array_equal(top, [[[[0.5, 102.5], [204.5, 306.5]]]])
    with pytest.raises(LayerError, match=r"2 \* 2\^2 channels, not \[1, 4, 4, 4\]"):
        build(text.replace("dim: 1", "dim: 2"), (1, 4, 4, 4), (1, 5)).top_shapes(
            [(1, 4, 4, 4), (1, 5)])
    with pytest.raises(LayerError, match="output_dim and group_size > 0"):
        build('type: "PSROIPooling" psroi_pooling_param { output_dim: 2 }', (1, 4, 4, 4), (1, 5))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_lstm_unit_by_hand():
    # gates i f o g, each sigmoid(0) = 0.5 but g = tanh(1); cell 2
    gates = [[[0., 0., 0., 1.]]]
    cell, hidden = run('type: "LSTMUnit"', [[[2.]]], gates, [[1.]], tops=2)
    assert cell.item() == pytest.approx(0.5 * 2 + 0.5 * math.tanh(1))
    assert hidden.item() == pytest.approx(0.5 * math.tanh(cell.item()))
    cell, _ = run('type: "LSTMUnit"', [[[2.]]], gates, [[0.]], tops=2)  # a sequence begins
    assert cell.item() == pytest.approx(0.5 * math.tanh(1))


def test_rnn_by_hand_goes_on_where_it_ended():
    module = build('type: "RNN" recurrent_param { num_output: 1 }', (2, 1, 1), (2, 1))
    for blob, value in zip(module.blobs, (0.5, 0.1, 0.7, 2, -0.3)):  # W_xh b_h W_hh W_ho b_o
        blob.data.fill_(value)
    x, on = torch.tensor([[[1.]], [[2.]]]), torch.ones(2, 1)
    hidden, expected = 0.0, []
    for value in (1, 2, 1, 2):
        hidden = math.tanh(0.5 * value + 0.1 + 0.7 * hidden)
        expected.append(math.tanh(2 * hidden - 0.3))
    got = [v for _ in range(2) for v in module(x, on).flatten().tolist()]
    assert got == pytest.approx(expected)
    module.top_shapes([(2, 1, 1), (2, 1)])  # looking for shapes does not change the state
    assert module(x, torch.zeros(2, 1))[0].item() == pytest.approx(expected[0])


def test_lstm_constant_input_acts_like_more_input():
    joint = build('type: "LSTM" recurrent_param { num_output: 2 }', (3, 2, 5), (3, 2)).double()
    apart = build('type: "LSTM" recurrent_param { num_output: 2 }', (3, 2, 3), (3, 2),
                  (2, 2)).double()
    weight, bias, hidden = (values(blob.shape, i) for i, blob in enumerate(joint.blobs))
    for module, blobs in ((joint, (weight, bias, hidden)),
                          (apart, (weight[:, :3], bias, weight[:, 3:], hidden))):
        for blob, value in zip(module.blobs, blobs):
            blob.data.copy_(value)
    x, constant = values((3, 2, 3)), values((2, 2), 5)
    cont = torch.tensor([[0, 1], [1, 1], [1, 0]]).double()
    expected = joint(torch.cat((x, constant.expand(3, 2, 2)), 2), cont)
    torch.testing.assert_close(apart(x, cont, constant), expected)


@pytest.mark.parametrize("options, shapes, message", [
    ("", [(2, 1, 1), (2, 1)], "num_output"),
    ("num_output: 1", [(2, 1, 1), (1, 2)], r"\(T, N\)"),
    ("num_output: 1 expose_hidden: true", [(2, 1, 1), (2, 1)], "4 or 5 bottoms")])
def test_refused_recurrent_layers(options, shapes, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        build(f'type: "LSTM" recurrent_param {{ {options} }}', *shapes)


def dummy(options, tops=2):
    return build(f'type: "DummyData" dummy_data_param {{ {options} }}', tops=tops)


def test_dummy_data_fills_constants_once_and_random_values_anew():
    module = dummy("shape { dim: 2 } shape { dim: 3 } data_filler { value: 4 } "
                   "data_filler { type: 'uniform' }")
    assert module.top_shapes([]) == [(2,), (3,)]
    constant, nothing = module.initial_tops()
    assert constant.tolist() == [4, 4] and nothing is None
    kept, first = module()
    assert kept is None
    assert not torch.equal(first, module()[1])


def test_dummy_data_legacy_dimensions():
    module = dummy("num: 1 channels: 2 height: 3 width: 4 width: 5")
    assert module.top_shapes([]) == [(1, 2, 3, 4), (1, 2, 3, 5)]
    assert module.initial_tops()[1].abs().sum() == 0


@pytest.mark.parametrize("options, message", [
    ("", "shape"), ("shape { dim: 1 } num: 1", "got both"),
    ("shape { dim: 1 } shape { dim: 1 }", "shape once or once per top"),
    ("num: 1 channels: 1 height: 1", "width"),
    ("shape { dim: 1 } data_filler { } data_filler { }", "data_filler"),
    ("shape { dim: 1 } data_filler { type: 'gausian' }", 'did you mean "gaussian"')])
def test_refused_dummy_data(options, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        dummy(options, tops=3).initial_tops()


def test_input_shapes():
    one = build('type: "Input" input_param { shape { dim: 2 dim: 3 } }', tops=2)
    assert one.top_shapes([]) == [(2, 3), (2, 3)]
    assert build('type: "Input"', tops=2).top_shapes([]) == [None, None]
    with pytest.raises(LayerError, match="once per top"):
        build('type: "Input" input_param { shape { } shape { } }', tops=3)


def test_parameter_is_its_blob():
    module = build('type: "Parameter" parameter_param { shape { dim: 2 } }')
    assert module().data_ptr() == module.blobs[0].data_ptr()
    assert module.initial_tops()[0].tolist() == [0, 0]
