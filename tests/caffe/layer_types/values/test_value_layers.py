"""Layers of one value, and arithmetic between bottoms: by hand."""
import math

import numpy as np
import pytest
import torch
from layer_harness import build, gradient, run

from caffe.core.errors import LayerError

X = [[-2.0, -1.0, 0.0, 1.0, 2.0]]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("text, function, slope", [
    ('type: "ReLU"', lambda x: max(x, 0), lambda x: float(x > 0)),
    ('type: "ReLU" relu_param { negative_slope: 0.5 }', lambda x: x if x > 0 else x / 2,
     lambda x: 1 if x > 0 else 0.5),
    ('type: "PReLU" prelu_param { channel_shared: true }', lambda x: x if x > 0 else x / 4,
     lambda x: 1 if x > 0 else 0.25),
    ('type: "Sigmoid"', sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    ('type: "TanH"', math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    ('type: "AbsVal"', abs, lambda x: (x > 0) - (x < 0)),
    ('type: "BNLL"', lambda x: math.log1p(math.exp(x)), sigmoid),
    ('type: "ELU" elu_param { alpha: 2 }', lambda x: x if x > 0 else 2 * math.expm1(x),
     lambda x: 1 if x > 0 else 2 * math.exp(x)),
    ('type: "Swish" swish_param { beta: 2 }', lambda x: x * sigmoid(2 * x),
     lambda x: sigmoid(2 * x) + 2 * x * sigmoid(2 * x) * sigmoid(-2 * x)),
    ('type: "Clip" clip_param { min: -1 max: 1 }', lambda x: min(max(x, -1), 1),
     lambda x: float(-1 <= x <= 1)),
    ('type: "Power" power_param { power: 2 scale: 3 shift: 1 }', lambda x: (3 * x + 1) ** 2,
     lambda x: 6 * (3 * x + 1)),
    ('type: "Power" power_param { power: 3 }', lambda x: x ** 3, lambda x: 3 * x * x),
    ('type: "Exp"', math.exp, math.exp),
    ('type: "Exp" exp_param { base: 2 scale: 3 shift: -1 }', lambda x: 2 ** (3 * x - 1),
     lambda x: 3 * math.log(2) * 2 ** (3 * x - 1)),
    ('type: "Log" log_param { shift: 4 }', lambda x: math.log(x + 4), lambda x: 1 / (x + 4)),
    ('type: "Log" log_param { base: 10 scale: 2 shift: 5 }', lambda x: math.log10(2 * x + 5),
     lambda x: 2 / (2 * x + 5) / math.log(10)),
], ids=lambda v: v[6:40] if isinstance(v, str) else "")
def test_functions_and_their_slopes(text, function, slope):
    np.testing.assert_allclose(run(text, X), [[function(x) for x in X[0]]], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradient(text, 2, X), [[2 * slope(x) for x in X[0]]], rtol=1e-5)


def test_threshold_is_strict_and_has_no_gradient():
    module = build('type: "Threshold" threshold_param { threshold: 1 }', (1, 5))
    x = torch.tensor(X, requires_grad=True)
    assert module(x).tolist() == [[0, 0, 0, 0, 1]]
    assert not module(x).requires_grad


@pytest.mark.parametrize("options, value", [
    ("power: 2 scale: 0 shift: 3", 9), ("power: 0 shift: 3", 1), ("power: 0.5 scale: 0 shift: 4",
                                                                  2)])
def test_power_without_a_slope_is_a_constant(options, value):
    x = [[math.inf, 0.0, -5.0]]
    assert run(f'type: "Power" power_param {{ {options} }}', x).tolist() == [[value] * 3]


def test_prelu_has_a_slope_per_channel():
    x = -np.ones((1, 2, 2))
    top = run('type: "PReLU"', x, blobs=([0.5, 3],))
    assert top.tolist() == [[[-0.5, -0.5], [-3, -3]]]
    assert build('type: "PReLU"', (1, 2, 2)).blobs[0].tolist() == [0.25, 0.25]
    assert build('type: "PReLU" prelu_param { channel_shared: true filler { value: 2 } }',
                 (1, 2)).blobs[0].shape == ()


A, B, C = [[1.0, 2.0, 3.0]], [[1.0, 5.0, 0.0]], [[1.0, 4.0, 9.0]]


def eltwise(options):
    return f'type: "Eltwise" eltwise_param {{ {options} }}'


def test_eltwise():
    assert run('type: "Eltwise"', A, B, C).tolist() == [[3, 11, 12]]
    # 2 * (1, 2, 3) - (1, 5, 0)
    assert run(eltwise("coeff: 2 coeff: -1"), A, B).tolist() == [[1, -1, 6]]
    assert gradient(eltwise("coeff: 2 coeff: -1"), 3, A, B, of=1).tolist() == [[-3, -3, -3]]
    assert run(eltwise("operation: PROD"), A, B, C).tolist() == [[1, 40, 0]]
    assert run(eltwise("operation: MAX"), A, B, C).tolist() == [[1, 5, 9]]


def test_eltwise_max_gives_ties_to_the_second_then_to_the_earlier():
    # column 0 is 1 in all three; column 1 largest in B; column 2 in C
    expected = [[[0, 0, 0]], [[1, 1, 0]], [[0, 0, 1]]]
    for of in range(3):
        assert gradient(eltwise("operation: MAX"), 1, A, B, C, of=of).tolist() == expected[of]


def test_eltwise_product_gradients():
    # stable: the product of the others; else top / bottom, which is 0 / 0 in column 2
    stable = gradient(eltwise("operation: PROD"), 1, A, B, C, of=1)
    assert stable.tolist() == [[1, 8, 27]]
    quotient = gradient(eltwise("operation: PROD stable_prod_grad: false"), 1, A, B, C, of=1)
    np.testing.assert_array_equal(quotient, [[1, 8, math.nan]])


def test_scale_covers_axes():
    x = np.ones((2, 2, 3))
    top = run('type: "Scale" scale_param { axis: 1 num_axes: 2 bias_term: true }', x,
              blobs=([[1, 2, 3], [4, 5, 6]], [[0, 0, 0], [1, 1, 1]]))
    assert top[1].tolist() == [[1, 2, 3], [5, 6, 7]]
    top = run('type: "Scale" scale_param { axis: 0 }', x, [3, 4])
    assert top[:, 0, 0].tolist() == [3, 4]
    top = run('type: "Scale" scale_param { axis: -1 bias_term: true bias_filler { value: 2 } }',
              x, [1, 2, 3])
    assert top[0, 1].tolist() == [3, 4, 5]
    assert build('type: "Scale" scale_param { num_axes: 0 }', (2, 3)).blobs[0].shape == ()
    assert run('type: "Scale"', x, np.float32(7)).max() == 7


def test_bias_covers_axes():
    x = np.zeros((2, 2, 3))
    assert run('type: "Bias"', x, blobs=([1, 2],))[0].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert run('type: "Bias" bias_param { axis: 2 }', x, [1, 2, 3])[1, 1].tolist() == [1, 2, 3]
    assert build('type: "Bias" bias_param { axis: 0 num_axes: -1 filler { value: 3 } }',
                 (2, 3)).blobs[0].tolist() == [[3, 3, 3], [3, 3, 3]]


@pytest.mark.parametrize("operation, expected", [
    ("SUM", [6, -9]), ("ASUM", [10, 11]), ("SUMSQ", [4 + 4 + 36, 16 + 1 + 36]), ("MEAN", [2, -3])])
def test_reduction(operation, expected):
    x = [[2.0, -2.0, 6.0], [-4.0, 1.0, -6.0]]
    text = f'type: "Reduction" reduction_param {{ operation: {operation} axis: 1 coeff: 0.5 }}'
    assert run(text, x).tolist() == [v / 2 for v in expected]
    assert run(text.replace("axis: 1", "axis: -2"), x).shape == ()


@pytest.mark.parametrize("text, shapes, message", [
    (eltwise("coeff: 1"), [(2, 3), (2, 3)], "one coeff for each of the 2 bottoms"),
    (eltwise("operation: PROD coeff: 1 coeff: 1"), [(2, 3), (2, 3)], "SUM only"),
    ('type: "Scale" scale_param { num_axes: 3 }', [(2, 3, 4)], "num_axes"),
    ('type: "Bias" bias_param { num_axes: -2 }', [(2, 3, 4)], "num_axes"),
    ('type: "PReLU"', [(3,)], "2 axes"), ('type: "Clip"', [(3,)], "min and max"),
    ('type: "Exp" exp_param { base: 0 }', [(3,)], "base > 0"),
    ('type: "Log" log_param { base: 1 }', [(3,)], "base"),
    ('type: "AbsVal" top: "b0"', [(3,)], "in place"),
    ('type: "Reduction" reduction_param { axis: 2 }', [(3, 2)], "axis"),
])
def test_refused_options(text, shapes, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        build(text, *shapes)


@pytest.mark.parametrize("text, shapes, message", [
    ('type: "Eltwise"', [(2, 3), (3, 2)], "one shape"),
    ('type: "Scale"', [(2, 3, 4), (4,)], "from axis 1"),
    ('type: "Bias" bias_param { axis: 2 }', [(2, 3, 4), (4, 2)], "from axis 2"),
])
def test_refused_bottoms(text, shapes, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        build(text, *shapes).top_shapes(shapes)
