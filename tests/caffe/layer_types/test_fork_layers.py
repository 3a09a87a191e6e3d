"""Layer types of DeepLab, PSPNet, SegNet, SENet, SSD, ShuffleNet and MobileNets: by hand."""
import math

import numpy as np
import pytest
import slow_detection
import torch
from layer_harness import build, gradient, run

from caffe.core.errors import LayerError
from caffe.proto import caffe_pb2

# -- axes and channels


def test_permute_moves_classes_last():
    x = np.arange(24).reshape(2, 3, 4, 1)
    top = run('type: "Permute" permute_param { order: 0 order: 2 order: 3 order: 1 }', x)
    np.testing.assert_array_equal(top, x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(run('type: "Permute" permute_param { order: 2 }', x),
                                  x.transpose(2, 0, 1, 3))      # axes that are not named follow
    np.testing.assert_array_equal(run('type: "Permute"', x), x)


@pytest.mark.parametrize("order", ["order: 1 order: 1", "order: 4"])
def test_bad_orders(order):
    with pytest.raises(LayerError, match="each order once and below 4"):
        build(f'type: "Permute" permute_param {{ {order} }}', (2, 3, 4, 5))


def test_shuffle_channel_deals_the_groups_out():
    x = np.arange(6).reshape(1, 6, 1)
    top = run('type: "ShuffleChannel" shuffle_channel_param { group: 2 }', x)
    assert top.ravel().tolist() == [0, 3, 1, 4, 2, 5]
    back = run('type: "ShuffleChannel" shuffle_channel_param { group: 3 }', top)
    assert back.ravel().tolist() == x.ravel().tolist()


def test_bad_groups():
    with pytest.raises(LayerError, match="group > 0, got 0"):
        build('type: "ShuffleChannel" shuffle_channel_param { group: 0 }', (1, 6))
    module = build('type: "ShuffleChannel" shuffle_channel_param { group: 4 }', (1, 6))
    with pytest.raises(LayerError, match="a multiple of 4 channels"):
        module.top_shapes([(1, 6)])


# -- values


def test_axpy():
    x, y = np.ones((1, 2, 1, 3)), np.full((1, 2, 1, 3), 5)
    for scale in ([[2, -1]], [[[[2]], [[-1]]]]):
        top = run('type: "Axpy"', scale, x, y)
        assert top.tolist() == [[[[7, 7, 7]], [[4, 4, 4]]]]
    assert gradient('type: "Axpy"', 1, [[2, -1]], (3 * x).tolist(), y.tolist()).tolist() == [[9, 9]]


@pytest.mark.parametrize("shapes", [((1, 3), (1, 2, 4), (1, 2, 4)), ((1, 2), (1, 2, 4), (1, 2, 5)),
                                    ((1, 2, 4), (1, 2, 4), (1, 2, 4))])
def test_bottoms_that_do_not_fit_axpy(shapes):
    with pytest.raises(LayerError, match=r"expected bottoms of shape \(N, C\)"):
        build('type: "Axpy"', *shapes).top_shapes(shapes)


def test_relu6():
    x = [-2.0, 0.5, 6.0, 7.0]
    assert run('type: "ReLU6"', x).tolist() == [0, 0.5, 6, 6]
    assert gradient('type: "ReLU6"', 1, x).tolist() == [0, 1, 0, 0]
    leaky = 'type: "ReLU6" relu6_param { negative_slope: 0.5 }'
    assert run(leaky, x).tolist() == [-1, 0.5, 6, 6]
    assert gradient(leaky, 1, x).tolist() == [0.5, 1, 0, 0]


@pytest.mark.parametrize("kind", ["DepthwiseConvolution", "ConvolutionDepthwise"])
def test_depthwise_convolution_sees_its_own_channel_only(kind):
    x = np.array([[[1, 2, 3]], [[10, 20, 30]]])[None]
    text = f'type: "{kind}" convolution_param {{ kernel_h: 1 kernel_w: 2 %s }}'
    module = build(text % "", x.shape)
    assert [tuple(blob.shape) for blob in module.blobs] == [(2, 1, 1, 2), (2,)]
    top = run(text % "", x, blobs=[[[[[1, 1]]], [[[1, -1]]]], [0, 100]])
    assert top.tolist() == [[[[3, 5]], [[90, 90]]]]
    assert len(build(text % "num_output: 2 group: 2 bias_term: false", x.shape).blobs) == 1
    for wrong in ("num_output: 4", "group: 1"):
        with pytest.raises(LayerError, match="or the 2 channels of the bottom, got"):
            build(text % wrong, x.shape)


def test_hole_is_dilation():
    x = np.arange(5.0).reshape(1, 1, 1, 5)
    text = 'type: "Convolution" convolution_param { num_output: 1 bias_term: false kernel_h: 1 ' \
           'kernel_w: 2 %s }'
    for hole in ("hole: 3", "dilation: 3", "hole_h: 1 hole_w: 3"):
        assert run(text % hole, x, blobs=[[[[[1, 1]]]]]).tolist() == [[[[3, 5]]]]
    with pytest.raises(LayerError, match="dilation or hole, got both"):
        build(text % "hole: 2 dilation: 2", x.shape)


def test_ceil_mode_is_round_mode():
    x = np.arange(4.0).reshape(1, 1, 1, 4)
    text = 'type: "Pooling" pooling_param { kernel_h: 1 kernel_w: 3 stride: 2 %s }'
    assert run(text % "", x).tolist() == run(text % "ceil_mode: true", x).tolist() == [[[[2, 3]]]]
    assert run(text % "ceil_mode: false", x).tolist() == [[[[2]]]]


# -- normalisation


def test_normalize_each_place_or_the_whole_item():
    x = np.array([[[3, 0], [4, 2]]])                     # (1, 2, 2): channels, then places
    text = 'type: "Normalize" norm_param {{ {} }}'
    shared = text.format("across_spatial: false scale_filler { value: 20 }")
    np.testing.assert_allclose(run(shared, x), [[[12, 0], [16, 20]]], rtol=1e-6)
    each = text.format("across_spatial: false channel_shared: false")
    np.testing.assert_allclose(run(each, x, blobs=[[10, 100]]), [[[6, 0], [80, 100]]], rtol=1e-6)
    np.testing.assert_allclose(run('type: "Normalize"', x), x / math.sqrt(29), rtol=1e-6)
    assert run(text.format("eps: 16"), [[3, 0]]).tolist() == [[pytest.approx(0.6), 0]]
    assert [tuple(build(t, x.shape).blobs[0].shape) for t in (shared, each)] == [(), (2,)]
    assert build('type: "Normalize"', x.shape).blobs[0].item() == 1


SLOPES = "slope_filler { value: 2 } bias_filler { value: 1 }"
# (2, 1, 2): mean 2, variance 5
VALUES = [[[1.0, 3.0]], [[-1.0, 5.0]]]


def bn(options, phase=caffe_pb2.TRAIN, **others):
    return build(f'type: "BN" bn_param {{ {options} }}', (2, 1, 2), phase=phase, **others)


def test_bn_of_pspnet():
    module = bn(f"{SLOPES} momentum: 0.75 eps: 4")
    assert [tuple(blob.shape) for blob in module.blobs] == [(1, 1, 1, 1)] * 4
    assert [spec.lr_mult for spec in module.param.param] == [1, 1, 0, 0]
    x = torch.tensor(VALUES)
    np.testing.assert_allclose(module(x).detach(), (x - 2) / 3 * 2 + 1, rtol=1e-6)
    assert module.blobs[2].item() == pytest.approx(0.5)             # 0.75 * 0 + 0.25 * 2
    assert module.blobs[3].item() == pytest.approx(1.25)
    module(x)
    assert module.blobs[2].item() == pytest.approx(0.875)


@pytest.mark.parametrize("options, phase", [("", caffe_pb2.TEST),
                                            ("frozen: true", caffe_pb2.TRAIN)])
def test_bn_with_kept_statistics(options, phase):
    module = bn(f"{SLOPES} eps: 1 {options}", phase)
    module.blobs[2].data.fill_(3)
    module.blobs[3].data.fill_(15)
    x = torch.tensor(VALUES)
    np.testing.assert_allclose(module(x).detach(), (x - 3) / 4 * 2 + 1, rtol=1e-6)
    assert module.blobs[2].item() == 3
    assert [spec.lr_mult for spec in module.param.param] == ([0] * 4 if options else [1, 1, 0, 0])


def test_bn_of_segnet():
    fillers = "scale_filler { value: 2 } shift_filler { value: 1 }"
    x = torch.tensor(VALUES)
    for phase in (caffe_pb2.TRAIN, caffe_pb2.TEST):
        module = bn(fillers, phase, tops=3)
        assert len(module.blobs) == 2
        top, mean, variance = module(x)
        np.testing.assert_allclose(top.detach(), (x - 2) / math.sqrt(5) * 2 + 1, rtol=1e-6)
        assert mean.shape == variance.shape == (1, 1, 1, 1)
        assert (mean.item(), variance.item()) == (2, 5)
        folded = bn(fillers + " bn_mode: INFERENCE", phase)
        assert folded(x).tolist() == (2 * x + 1).tolist()


@pytest.mark.parametrize("options, tops, problem", [
    ("slope_filler { } shift_filler { }", 1, "got a mixture"), ("", 2, "expected 1 top, got 2"),
    ("bn_mode: INFERENCE", 3, "expected 1 top, got 3")])
def test_bad_bn(options, tops, problem):
    with pytest.raises(LayerError, match=problem):
        bn(options, tops=tops)


@pytest.mark.parametrize("text", ['type: "BN"', 'type: "Normalize" norm_param { channel_shared: '
                                  'false }'])
def test_other_channels_than_at_the_start_are_refused(text):
    module = build(text, (2, 3, 4))
    with pytest.raises(LayerError, match="expected 3 channels as when the net was built"):
        module.top_shapes([(2, 4, 4)])


# -- size


@pytest.mark.parametrize("options, size", [
    ("height: 7 width: 9", (7, 9)), ("height: 1 width: 1", (1, 1)),
    ("zoom_factor: 2", (7, 9)), ("shrink_factor: 2", (2, 3)),
    ("shrink_factor: 2 zoom_factor: 3", (4, 7)),
    ("shrink_factor: 2 zoom_factor: 3 height: 2 width: 2", (2, 2)),     # DeepLab's precedence
    ("zoom_factor: 2 height: 2 width: 2", (7, 9))])
def test_interp_equals_the_slow_one(options, size):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    top = run(f'type: "Interp" interp_param {{ {options} }}', x)
    expected = [[slow_detection.interpolate(c, *size) for c in item] for item in x]
    np.testing.assert_allclose(top, expected, rtol=1e-5, atol=1e-6)


def test_interp_cuts_the_border_first():
    x = np.arange(30.0).reshape(1, 1, 5, 6)
    top = run('type: "Interp" interp_param { zoom_factor: 1 pad_beg: -1 pad_end: -2 }', x)
    assert top.tolist() == [[[[7, 8, 9], [13, 14, 15]]]]


def test_interp_takes_the_size_of_the_second_bottom():
    top = run('type: "Interp"', [[[[0, 1]]]], np.zeros((1, 7, 2, 3)))
    assert top.tolist() == [[[[0, 0.5, 1]] * 2]]


@pytest.mark.parametrize("options, problem", [
    ("", "got none of them"), ("height: 3", "got none of them"),
    ("zoom_factor: 0", "zoom_factor and shrink_factor > 0, got 0 and 1"),
    ("zoom_factor: 2 pad_beg: 1", r"to cut \(<= 0\), got 1 and 0")])
def test_bad_interp(options, problem):
    with pytest.raises(LayerError, match=problem):
        build(f'type: "Interp" interp_param {{ {options} }}', (1, 1, 4, 4))


def test_interp_of_nothing():
    module = build('type: "Interp" interp_param { zoom_factor: 2 pad_beg: -4 }', (1, 1, 4, 4))
    with pytest.raises(LayerError, match="something to be left"):
        module.top_shapes([(1, 1, 4, 4)])


def test_upsample_repeats():
    top = run('type: "Upsample" upsample_param { scale: 2 }', [[[[1, 2]]]])
    assert top.tolist() == [[[[1, 1, 2, 2]] * 2]]
    assert run('type: "Upsample" upsample_param { scale_h: 1 scale_w: 3 }', [[[[1, 2]]]]).tolist() \
        == [[[[1, 1, 1, 2, 2, 2]]]]


@pytest.mark.parametrize("options", ["upsample_h: 4 upsample_w: 3", "scale: 2 pad_out_w: true",
                                     "pad_out_w: true"])
def test_upsample_undoes_pooling(options):
    x = np.array([[5, 1, 2], [3, 4, 9], [0, 0, 8], [7, 6, 0]]).reshape(1, 1, 4, 3)
    pooled, index = run('type: "Pooling" pooling_param { kernel_size: 2 stride: 2 }', x, tops=2)
    top = run(f'type: "Upsample" upsample_param {{ {options} }}', pooled, index)
    assert top.tolist() == [[[[5, 0, 0], [0, 0, 9], [0, 0, 8], [7, 0, 0]]]]
    grad = gradient(f'type: "Upsample" upsample_param {{ {options} }}', x[None, 0].tolist(),
                    pooled.tolist(), index.tolist())
    assert grad.tolist() == pooled.tolist()


@pytest.mark.parametrize("options, shapes, problem", [
    ("upsample_h: 4", [(1, 1, 2, 2)] * 2, "got upsample_h"),
    ("upsample_h: 4 upsample_w: 4", [(1, 1, 2, 2)], "with indices as second bottom"),
    ("scale_h: 4", [(1, 1, 2, 2)], "scale_h and scale_w, got one of the two"),
    ("scale: 0", [(1, 1, 2, 2)], "sizes and scales > 0"),
    ("scale: 3 pad_out_h: true", [(1, 1, 2, 2)] * 2, "expected scale 2 with pad_out_h"),
    ("", [(1, 1, 2, 2), (1, 1, 2, 3)], "indices of the same shape")])
def test_bad_upsample(options, shapes, problem):
    with pytest.raises(LayerError, match=problem):
        build(f'type: "Upsample" upsample_param {{ {options} }}', *shapes).top_shapes(shapes)


def test_indices_of_a_larger_map_are_refused():
    with pytest.raises(LayerError, match="each pooling index in 0 .. 3, got 4"):
        run('type: "Upsample"', [[[[1]]]], [[[[4]]]])


# -- losses


def test_focal_loss_forgets_what_is_sure():
    scores = np.log([[0.5, 0.5], [0.1, 0.9]])       # the labels have p = 0.5 and 0.9
    one, two = 0.5 ** 2 * math.log(2), 0.1 ** 2 * -math.log(0.9)
    for kind in ("FocalLoss", "SoftmaxFocalLoss"):
        loss = run(f'type: "{kind}"', scores, [0, 1])
        assert loss == pytest.approx(0.25 * (one + two) / 2, rel=1e-5)
        text = f'type: "{kind}" focal_loss_param {{ alpha: 1 gamma: 0 }}'
        assert run(text, scores, [0, 1]) == pytest.approx(-math.log(0.45) / 2, rel=1e-5)
        ignoring = f'type: "{kind}" loss_param {{ ignore_label: 0 }}'
        assert run(ignoring, scores, [0, 1]) == pytest.approx(0.25 * two, rel=1e-5)


def test_gradient_of_the_focal_loss():
    # d/dp of -alpha (1 - p)^2 log p is alpha (2 (1 - p) log p - (1 - p)^2 / p); dp/ds = p (1 - p)
    slope = 0.25 * (math.log(0.5) - 0.5) * 0.25
    assert gradient('type: "FocalLoss"', 1, [[0, 0]], [0]).tolist() == [
        pytest.approx([slope, -slope], rel=1e-5)]
