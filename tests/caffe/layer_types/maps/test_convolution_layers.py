"""Convolution, Deconvolution and Im2col: by hand, and against a loop over every product."""
import itertools

import numpy as np
import pytest
import torch
from layer_harness import build, run, values

from caffe.core.errors import LayerError


def slow_convolution(x, weight, bias, stride, pad, dilation, group):
    """Every output value as a sum over its window, for any number of spatial axes."""
    axes = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in pad]])
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:])]
    count = [(n - e) // s + 1 for n, e, s in zip(x.shape[2:], extent, stride)]
    top = np.zeros((x.shape[0], weight.shape[0], *count))
    per_group, inputs = weight.shape[0] // group, weight.shape[1]
    for n, o in itertools.product(range(x.shape[0]), range(weight.shape[0])):
        first = o // per_group * inputs
        for at in itertools.product(*map(range, count)):
            window = tuple(slice(a * s, a * s + e, d)
                           for a, s, e, d in zip(at, stride, extent, dilation))
            top[(n, o, *at)] = (x[(n, slice(first, first + inputs), *window)] * weight[o]).sum() \
                + bias[o]
    assert top.ndim == axes + 2
    return top


def text(kind, output, kernel, stride, pad, dilation, group):
    fields = [f"{name}: {v}" for name, vs in (("kernel_size", kernel), ("stride", stride),
                                              ("pad", pad), ("dilation", dilation)) for v in vs]
    return (f'type: "{kind}" convolution_param {{ num_output: {output} group: {group} '
            f'{" ".join(fields)} }}')


GEOMETRIES = [  # spatial size, kernel, stride, pad, dilation
    ((9,), (3,), (2,), (1,), (2,)),
    ((7, 6), (3, 2), (2, 1), (0, 2), (1, 2)),
    ((4, 5, 4), (2, 3, 1), (1, 2, 1), (1, 0, 0), (1, 1, 1)),
    ((3, 4, 3, 4), (2, 2, 1, 2), (1, 2, 1, 1), (0, 1, 0, 1), (1, 1, 1, 2)),
]


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: f"{len(g[0])}d")
def test_convolution_equals_the_sum_over_each_window(geometry, group):
    size, *options = geometry
    x = values((2, 4, *size))
    weight, bias = values((6, 4 // group, *options[0]), 1), values((6,), 2)
    module = build(text("Convolution", 6, *options, group), x.shape).double()
    for blob, value in zip(module.blobs, (weight, bias)):
        blob.data.copy_(value)
    expected = slow_convolution(x.numpy(), weight.numpy(), bias.numpy(), *options[1:], group)
    np.testing.assert_allclose(module(x).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: f"{len(g[0])}d")
def test_deconvolution_is_the_adjoint_of_convolution(geometry, group):
    size, *options = geometry
    top = build(text("Convolution", 6, *options, group), (2, 4, *size)).double()
    back = build(text("Deconvolution", 4, *options, group) + " phase: TRAIN",
                 *top.top_shapes([(2, 4, *size)])).double()
    assert back.blobs[0].shape == top.blobs[0].shape
    weight = values(top.blobs[0].shape, 1)
    for module in (top, back):
        module.blobs[0].data.copy_(weight)
    x = values((2, 4, *size)).requires_grad_()
    y = top(x)
    grad = values(y.shape, 3)
    adjoint, = torch.autograd.grad(y, x, grad)
    covered = back(grad)  # smaller than x where the last stride leaves cells over: they get 0
    inside = tuple(slice(0, n) for n in covered.shape)
    torch.testing.assert_close(covered, adjoint[inside])
    assert float(adjoint.abs().sum()) == pytest.approx(float(adjoint[inside].abs().sum()))


def test_convolution_by_hand():
    # [1 2 3]            [1 0]          1 - 5, 2 - 6 | + 0.5
    # [4 5 6]  convolved [0 -1] + 0.5 = 4 - 8, 5 - 9 |
    # [7 8 9]
    top = run('type: "Convolution" convolution_param { num_output: 1 kernel_size: 2 }',
              np.arange(1, 10).reshape(1, 1, 3, 3), blobs=([[[[1, 0], [0, -1]]]], [0.5]))
    np.testing.assert_array_equal(top, [[[[-3.5, -3.5], [-3.5, -3.5]]]])


def test_convolution_without_spatial_axes_is_a_product():
    # rows (1, 2), (3, 4); weights (1, 1), (0, 2): 1 + 2, 2 * 2 and 3 + 4, 2 * 4
    top = run('type: "Convolution" convolution_param { num_output: 2 bias_term: false }',
              [[1, 2], [3, 4]], blobs=([[1, 1], [0, 2]],))
    np.testing.assert_array_equal(top, [[3, 4], [7, 8]])


def test_axis_puts_more_axes_in_front_of_the_channels():
    x = values((2, 3, 4, 5)).float()
    option = "convolution_param {{ num_output: 2 kernel_size: 2 axis: {} }}"
    module = build('type: "Convolution" ' + option.format(2), x.shape)
    weight = values(module.blobs[0].shape, 1).float()
    module.blobs[0].data.copy_(weight)
    expected = torch.nn.functional.conv1d(x.reshape(6, 4, 5), weight).reshape(2, 3, 2, 4)
    torch.testing.assert_close(module(x), expected)


def test_activations_become_channels_last():
    module = build('type: "Convolution" convolution_param { num_output: 8 kernel_size: 3 }',
                   (1, 4, 9, 9))
    assert module.blobs[0].is_contiguous(memory_format=torch.channels_last)
    assert module(torch.ones(1, 4, 9, 9)).is_contiguous(memory_format=torch.channels_last)


def test_im2col_by_hand():
    # [0 1 2]   windows of 2 x 2, one row of the result per cell of the window, over 2 x 2 windows
    # [3 4 5]
    # [6 7 8]
    top = run('type: "Im2col" convolution_param { kernel_size: 2 }', np.arange(9).reshape(1, 1, 3,
                                                                                         3))
    np.testing.assert_array_equal(top, [[[[0, 1], [3, 4]], [[1, 2], [4, 5]],
                                         [[3, 4], [6, 7]], [[4, 5], [7, 8]]]])


def test_im2col_over_three_axes_is_the_matrix_of_a_convolution():
    x = values((2, 3, 4, 3, 5))
    options = "kernel_size: 2 stride: 2 stride: 1 stride: 2 pad: 1"
    columns = build(f'type: "Im2col" convolution_param {{ {options} }}', x.shape)(x)
    module = build(f'type: "Convolution" convolution_param {{ num_output: 2 bias_term: false '
                   f'{options} }}', x.shape).double()
    module.blobs[0].data.copy_(values(module.blobs[0].shape, 1))
    product = torch.einsum("nkabc,ok->noabc", columns, module.blobs[0].flatten(1))
    torch.testing.assert_close(module(x), product)


@pytest.mark.parametrize("options, message", [
    ("num_output: 2", "kernel_size"),
    ("kernel_size: 3", "num_output"),
    ("num_output: 2 kernel_size: 3 kernel_h: 3 kernel_w: 3", "got both"),
    ("num_output: 2 kernel_size: 3 kernel_size: 3 kernel_size: 3", "2 spatial axes"),
    ("num_output: 2 kernel_size: 0", "kernel > 0"),
    ("num_output: 2 kernel_size: 3 stride: 0", "stride > 0"),
    ("num_output: 3 kernel_size: 3 group: 3", "bottom channels .* multiple of group 3, got 4"),
    ("num_output: 3 kernel_size: 3 group: 2", "num_output .* multiple of group 2, got 3"),
    ("num_output: 2 kernel_size: 1 axis: 4", "axis"),
])
def test_refused_options(options, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        build(f'type: "Convolution" convolution_param {{ {options} }}', (2, 4, 6, 6))


@pytest.mark.parametrize("shape, message", [
    ((2, 5, 6, 6), "4 channels"), ((2, 4, 6), "4 axes"), ((2, 4, 2, 6), "fits into")])
def test_bottoms_that_no_longer_fit_are_refused(shape, message):
    module = build('type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 }',
                   (2, 4, 6, 6))
    with pytest.raises(LayerError, match=message):
        module.top_shapes([shape])
