"""CenterLoss and MarginInnerProduct against their originals' formulas, item by item."""
import math

import numpy as np
import pytest
import torch
from layer_harness import build

from caffe.core.errors import LayerError

# -- CenterLoss (caffe-face: center_loss_layer.cpp)

CENTRES = [[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]]


def center_loss():
    module = build('type: "CenterLoss" center_loss_param { num_output: 3 }', (3, 2), (3,))
    module.blobs[0].data.copy_(torch.tensor(CENTRES))
    return module


def test_center_loss_is_half_the_mean_squared_distance():
    x = torch.tensor([[2.0, 0.0], [1.0, 4.0], [1.0, 2.0]], requires_grad=True)
    module = center_loss()
    loss = module(x, torch.tensor([0.0, 1, 1]))
    assert loss.item() == pytest.approx((1 + 5 + 1) / (2 * 3))
    (loss * 0.5).backward()
    np.testing.assert_allclose(x.grad, np.array([[1, 0], [1, 2], [1, 0]]) * 0.5 / 3, rtol=1e-6)


def test_the_gradient_of_a_centre_is_its_own_whatever_the_loss_weight():
    for weight in (1.0, 0.008):
        module = center_loss()
        x = torch.tensor([[2.0, 0.0], [1.0, 4.0], [1.0, 2.0]])
        (module(x, torch.tensor([0.0, 1, 1])) * weight).backward()
        # minus the sum of the distances over one more than the number of items; none: 0
        np.testing.assert_allclose(module.blobs[0].grad,
                                   [[-1 / 2, 0], [-2 / 3, -2 / 3], [0, 0]], rtol=1e-6)


def test_labels_that_center_loss_does_not_have():
    with pytest.raises(LayerError, match="each label in 0 .. 2, got 3"):
        center_loss()(torch.zeros(3, 2), torch.tensor([0.0, 1, 3]))
    with pytest.raises(LayerError, match="num_output > 0"):
        build('type: "CenterLoss"', (3, 2), (3,))


# -- MarginInnerProduct (sphereface: margin_inner_product_layer.cpp)


def sign(value):
    return int(np.sign(value))


def psi(kind, cos):
    """The margin function by cases of the angle: (-1)^k cos(m t) - 2 k for t in [k, k + 1] pi / m.
    """
    m = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}[kind]
    angle = math.acos(max(-1.0, min(1.0, cos)))
    k = min(m - 1, int(angle * m / math.pi))
    return (-1) ** k * math.cos(m * angle) - 2 * k


def slow_margin(kind, x, weight, labels, rate, grad):
    """(top, gradient of x, gradient of the weight), by the original's loops."""
    weight = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    top, down = x @ weight.T, np.zeros_like(x)
    for i, label in enumerate(labels):
        norm = np.linalg.norm(x[i])
        cos = x[i] @ weight[label] / norm
        if kind != "SINGLE":
            top[i, label] = (norm * psi(kind, cos) + rate * norm * cos) / (1 + rate)
        for j in range(len(weight)):
            along_w, along_x = 1.0, 0.0
            if j == label and kind != "SINGLE":
                s0 = sign(cos)
                if kind == "DOUBLE":
                    along_w = 4 * s0 * cos
                    along_x = -(2 * s0 * cos ** 2 + 1) / norm
                elif kind == "TRIPLE":
                    s1 = sign(abs(cos) - 0.5)
                    s2 = s0 * (1 + s1) - 2
                    along_w = s1 * (12 * cos ** 2 - 3)
                    along_x = -(8 * s1 * cos ** 3 - s2) / norm
                else:
                    s3 = s0 * sign(2 * cos ** 2 - 1)
                    s4 = 2 * s0 + s3 - 3
                    along_w = s3 * (32 * cos ** 3 - 16 * cos)
                    along_x = -(s3 * (24 * cos ** 4 - 8 * cos ** 2 - 1) - s4) / norm
                length = math.hypot(along_w, along_x)
                along_w, along_x = along_w / length, along_x / length
            down[i] += grad[i, j] / (1 + rate) * (along_w * weight[j] + along_x * x[i])
            down[i] += grad[i, j] * rate / (1 + rate) * weight[j]
    return top, down, grad.T @ x


@pytest.mark.parametrize("kind", ["SINGLE", "DOUBLE", "TRIPLE", "QUADRUPLE"])
def test_margins_equal_the_originals_loops(kind):
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=(12, 4)), rng.normal(size=(3, 4))
    labels, grad = rng.integers(3, size=12), rng.normal(size=(12, 3))
    module = build(f'type: "MarginInnerProduct" margin_inner_product_param {{ num_output: 3 type: '
                   f"{kind} base: 3 gamma: 0.5 power: 2 }}", x.shape, (12,), tops=2).double()
    module.blobs[0].data.copy_(torch.tensor(weight))
    bottom = torch.tensor(x, requires_grad=True)
    top, rate = module(bottom, torch.tensor(labels, dtype=torch.float64))
    top.backward(torch.tensor(grad))
    assert rate.item() == pytest.approx(3 * 1.5 ** -2)      # the first pass counts as 1
    expected = slow_margin(kind, x, weight, labels, rate.item(), grad)
    for got, wanted in zip((top.detach(), bottom.grad, module.blobs[0].grad), expected):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(module.blobs[0].detach().norm(dim=1), 1)


def test_lambda_falls_down_to_its_limit():
    module = build('type: "MarginInnerProduct" margin_inner_product_param { num_output: 2 '
                   "base: 1000 gamma: 0.12 power: 1 lambda_min: 5 iteration: 100 "
                   "weight_filler { type: 'xavier' } }", (1, 4), (1,), tops=2)
    x, label = torch.ones(1, 4), torch.zeros(1)
    rates = [module(x, label)[1].item() for _ in range(2)]
    assert rates == pytest.approx([1000 / (1 + 0.12 * 101), 1000 / (1 + 0.12 * 102)])
    module.passes = 10 ** 6
    assert module(x, label)[1].item() == 5


def test_the_wrong_bottom_for_a_margin():
    module = build('type: "MarginInnerProduct" margin_inner_product_param { num_output: 2 }',
                   (1, 4), (1,))
    with pytest.raises(LayerError, match="expected 4 values from axis 1 on"):
        module.top_shapes([(1, 5), (1,)])
