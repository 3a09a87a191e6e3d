"""Layers that only move values: shapes and places by hand."""
import numpy as np
import pytest
import torch
from layer_harness import build, gradient, run

from caffe.core.errors import LayerError

X = np.arange(24).reshape(2, 3, 4)


def reshape(options):
    return f'type: "Reshape" reshape_param {{ {options} }}'


@pytest.mark.parametrize("options, bottom, top", [
    ("shape { dim: 0 dim: -1 }", (2, 3, 4), (2, 12)),
    ("shape { dim: -1 }", (2, 3, 4), (24,)),
    ("shape { dim: 0 dim: 2 dim: -1 dim: 0 }", (1, 18, 6, 5), (1, 2, 54, 5)),  # of the RPN
    ("shape { dim: 6 } axis: 0 num_axes: 2", (2, 3, 4), (6, 4)),
    ("shape { dim: 1 } axis: 1 num_axes: 0", (2, 3, 4), (2, 1, 3, 4)),
    ("shape { dim: 2 dim: 2 } axis: -2", (2, 3, 4), (2, 3, 2, 2)),
    ("shape { } axis: 1 num_axes: 1", (2, 1, 4), (2, 4)),
    ("shape { dim: 0 dim: -1 }", (0, 3, 4), (0, 12)),
    ("shape { dim: -1 dim: 6 }", (0, 3, 2), (0, 6)),
])
def test_reshape(options, bottom, top):
    module = build(reshape(options), bottom)
    assert module.top_shapes([bottom]) == [top]


@pytest.mark.parametrize("options, message", [
    ("shape { dim: -1 dim: -1 }", "at most one -1"), ("shape { dim: -2 }", "below"),
    ("shape { dim: 5 dim: -1 }", "multiple"), ("shape { dim: 5 }", "24 values"),
    ("shape { dim: 2 dim: 3 dim: 4 dim: 0 }", "axis 3"), ("shape { dim: -1 } axis: 4", "inside"),
    ("shape { dim: -1 } axis: 2 num_axes: 2", "inside")])
def test_refused_reshapes(options, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        build(reshape(options), (2, 3, 4)).top_shapes([(2, 3, 4)])


def test_reshape_keeps_the_order_of_a_channels_last_bottom():
    x = torch.arange(24.).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    module = build(reshape("shape { dim: 0 dim: -1 }"), x.shape)
    assert module(x).tolist() == [list(range(24))]


@pytest.mark.parametrize("options, top", [
    ("", (2, 60)), ("axis: 0", (120,)), ("axis: 1 end_axis: 2", (2, 12, 5)),
    ("axis: -2", (2, 3, 20)), ("axis: 2 end_axis: 2", (2, 3, 4, 5))])
def test_flatten(options, top):
    module = build(f'type: "Flatten" flatten_param {{ {options} }}', (2, 3, 4, 5))
    assert module.top_shapes([(2, 3, 4, 5)]) == [top]


def test_concat():
    top = run('type: "Concat" concat_param { axis: 0 }', [[1, 2]], [[3, 4], [5, 6]])
    assert top.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert run('type: "Concat" concat_param { concat_dim: 1 }', [[1]], [[2]]).tolist() == [[1, 2]]
    assert run('type: "Concat"', [[1, 2]]).tolist() == [[1, 2]]


def test_slice():
    a, b, c = run('type: "Slice" slice_param { axis: -1 slice_point: 1 slice_point: 3 }', X,
                  tops=3)
    assert [t.shape for t in (a, b, c)] == [(2, 3, 1), (2, 3, 2), (2, 3, 1)]
    assert (b == X[:, :, 1:3]).all()
    a, b = run('type: "Slice" slice_param { slice_dim: 2 }', X, tops=2)
    assert (b == X[:, :, 2:]).all()


def test_split_adds_the_gradients():
    x = torch.ones(2, requires_grad=True)
    tops = build('type: "Split"', (2,), tops=3)(x)
    grads = [torch.tensor([1., 2.]), torch.tensor([10., 20.]), torch.tensor([100., 200.])]
    assert torch.autograd.grad(tops, x, grads)[0].tolist() == [111, 222]


def test_crop():
    like = np.zeros((9, 2, 2))
    top = run('type: "Crop" crop_param { axis: 1 offset: 1 offset: 2 }', X, like)
    assert (top == X[:, 1:3, 2:4]).all()
    top = run('type: "Crop" crop_param { axis: 1 offset: 1 }', X, like)  # one offset for all
    assert (top == X[:, 1:3, 1:3]).all()
    grad = gradient('type: "Crop" crop_param { axis: 2 }', 1, X.tolist(), like.tolist())
    assert grad.sum(0).sum(0).tolist() == [6, 6, 0, 0]


def test_tile():
    assert run('type: "Tile" tile_param { tiles: 2 }', [[1, 2]]).tolist() == [[1, 2, 1, 2]]
    assert run('type: "Tile" tile_param { axis: 0 tiles: 2 }', [[1, 2]]).tolist() == [[1, 2]] * 2


def test_filter_and_batch_reindex():
    a, b = run('type: "Filter"', X, [[1], [2]], [0, 0.5], tops=2)
    assert (a == X[1:]).all() and b.tolist() == [[2]]
    assert run('type: "Filter"', X, [[0], [0]])[0].shape == (0, 3, 4)
    assert (run('type: "BatchReindex"', X, [1, 1, 0]) == X[[1, 1, 0]]).all()
    grad = gradient('type: "BatchReindex"', 1, X.tolist(), [1., 1., 0.])
    assert grad[:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("text, shapes, tops, message", [
    ('type: "Slice"', [(2, 4)], 3, "multiple of the 3 tops, got 4"),
    ('type: "Slice" slice_param { slice_point: 1 slice_point: 2 }', [(2, 4)], 2, "2 tops, got 2"),
    ('type: "Slice" slice_param { slice_point: 3 slice_point: 2 }', [(2, 4)], 3, "rising"),
    ('type: "Slice" slice_param { slice_point: 4 }', [(2, 4)], 2, "rising"),
    ('type: "Slice" slice_param { axis: 1 slice_dim: 1 }', [(2, 4)], 2, "got both"),
    ('type: "Concat"', [(2, 3), (3, 3)], 1, "differ in axis 1 only"),
    ('type: "Concat"', [(2, 3), (2, 3, 1)], 1, "differ in axis 1 only"),
    ('type: "Concat" concat_param { concat_dim: 2 }', [(2, 3)], 1, "concat_dim"),
    ('type: "Crop" crop_param { offset: 2 }', [(1, 2, 5, 5), (1, 2, 4, 4)], 1, "2 . 4"),
    ('type: "Crop" crop_param { offset: 1 offset: 1 offset: 1 }', [(1, 2, 5, 5)] * 2, 1, "got 3"),
    ('type: "Flatten" flatten_param { axis: 2 end_axis: 1 }', [(2, 3, 4)], 1, "end_axis"),
    ('type: "Flatten" top: "b0"', [(2, 3)], 1, "in place"),
    ('type: "Tile"', [(2, 3)], 1, "tiles > 0"),
    ('type: "Filter"', [(2, 3), (3,)], 1, "as many items"),
    ('type: "Filter"', [(2, 3), (2, 2)], 1, "one value per item"),
    ('type: "BatchReindex"', [(2, 3), (2, 2)], 1, "one axis"),
])
def test_refused(text, shapes, tops, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        build(text, *shapes, tops=tops).top_shapes(shapes)
