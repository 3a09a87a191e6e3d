"""Backward operators demand of their operands what forward demands; second derivatives refuse."""
import math

import pytest
import torch

from caffe.operators import ops

raw = torch.ops.caffe_fast_rcnn
ROIS = torch.tensor([[0, 0, 0, 3, 3], [1, 1, 1, 3, 2.0]])
SHAPE = [2, 4, 5, 6]        # of the features


def roi_pool(grad=(2, 4, 2, 2), rois=ROIS, argmax=None, shape=SHAPE):
    grad = torch.ones(grad) if isinstance(grad, tuple) else grad
    argmax = torch.zeros(grad.shape, dtype=torch.int32) if argmax is None else argmax
    return raw.roi_pool_backward(grad, rois, argmax, shape, 1.0)


def roi_align(grad=(2, 4, 2, 2), rois=ROIS, shape=SHAPE, ratio=0):
    grad = torch.ones(grad) if isinstance(grad, tuple) else grad
    return raw.roi_align_backward(grad, rois, shape, 1.0, ratio, False)


def roi_align_rois(grad=(2, 4, 2, 2), rois=ROIS, shape=SHAPE, ratio=0):
    grad = torch.ones(grad) if isinstance(grad, tuple) else grad
    features = torch.ones(shape, dtype=grad.dtype)
    return raw.roi_align_rois_backward(grad, features, rois, 1.0, ratio, False)


def psroi_pool(grad=(2, 1, 2, 2), rois=ROIS, shape=SHAPE):
    grad = torch.ones(grad) if isinstance(grad, tuple) else grad
    return raw.psroi_pool_backward(grad, rois, shape, 1.0)


BACKWARD = [roi_pool, roi_align, roi_align_rois, psroi_pool]


def with_number(row, column, number):
    rois = ROIS.clone()
    rois[row, column] = number
    return rois


@pytest.mark.parametrize("backward", BACKWARD)
def test_sound_operands_are_taken(backward):
    assert backward().isfinite().all()


@pytest.mark.parametrize("index", [2, -1, 1e6, -1e30])
@pytest.mark.parametrize("backward", BACKWARD)
def test_an_image_index_outside_the_batch_is_named(backward, index):
    with pytest.raises(ValueError, match=r"_backward: rois\[1, 0\] = .* is not the index of an "
                                         "image in a batch of 2"):
        backward(rois=with_number(1, 0, index))


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("backward", BACKWARD)
def test_rois_that_are_not_finite_are_named(backward, number, column):
    with pytest.raises(ValueError, match=r"_backward: rois\[0\] = .* is not finite"):
        backward(rois=with_number(0, column, number))


@pytest.mark.parametrize("operands, message", [
    ({"rois": ROIS[:1]}, r"rois are \[1, 5\], grad is \[2, \d, 2, 2\]"),
    ({"rois": ROIS[:, :4]}, r"rois (are|must be).*\[2, 4\]"),
    ({"rois": ROIS.double()}, "rois are Double, grad is Float|rois are Double, features are Float"),
    ({"grad": torch.ones(2, 1, 2, 2).half()}, "grad must be float32 or float64, not Half"),
    ({"grad": (2, 4, 2)}, r"grad must be \(R, C, pooled_h, pooled_w\), not \[2, 4, 2\]"),
    ({"grad": (2, 4, 0, 2)}, r"grad must be .*, not \[2, 4, 0, 2\]"),
    ({"grad": (2, 3, 2, 2)}, r"grad is \[2, 3, 2, 2\], features are \[2, 4, 5, 6\]"),
])
@pytest.mark.parametrize("backward", BACKWARD)
def test_an_operand_that_does_not_fit_is_named(backward, operands, message):
    with pytest.raises(ValueError, match=message):
        backward(**operands)


@pytest.mark.parametrize("shape", [[2, 4, 5], [2, 4, -5, 6], [2, 4, 1 << 20, 1 << 20],
                                   [2, 4, 1 << 40, 1 << 40]])
@pytest.mark.parametrize("backward", [roi_pool, roi_align, psroi_pool])
def test_a_shape_that_no_features_have_is_named(backward, shape):
    with pytest.raises(ValueError, match=r"feature_shape must be \(N, C, H, W\), not|too large"):
        backward(shape=shape)


@pytest.mark.parametrize("number", [30, 1 << 30, -2])
def test_an_argmax_outside_the_map_is_named(number):
    argmax = torch.zeros(2, 4, 2, 2, dtype=torch.int32)
    argmax[1, 0, 0, 1] = number
    with pytest.raises(ValueError, match=f"argmax, number 17 of .2, 4, 2, 2., is {number}, not a "
                                         "cell of a map of 30 cells"):
        roi_pool(argmax=argmax)


def test_an_argmax_of_another_kind_is_named():
    with pytest.raises(ValueError, match=r"argmax is \[2, 4, 2, 1\], grad is \[2, 4, 2, 2\]"):
        roi_pool(argmax=torch.zeros(2, 4, 2, 1, dtype=torch.int32))
    with pytest.raises(ValueError, match="argmax must be int32, not Long"):
        roi_pool(argmax=torch.zeros(2, 4, 2, 2, dtype=torch.int64))


def test_roi_align_names_a_large_sampling_ratio():
    for backward in (roi_align, roi_align_rois):
        with pytest.raises(ValueError, match="the sampling ratio 100000 is too large"):
            backward(ratio=100000)


def test_psroi_pool_names_a_grid_that_is_not_square():
    with pytest.raises(ValueError, match=r"grad is \[2, 1, 1, 4\], features are \[2, 4, 5, 6\]"):
        psroi_pool((2, 1, 1, 4))


def test_smooth_l1_names_a_bad_operand():
    x, one = torch.zeros(2, 3), torch.ones(())
    for operands, message in (
            ((torch.ones(2), x, x, None, None, 1.0), r"grad must be one number, not \[2\]"),
            ((one.double(), x, x, None, None, 1.0), "grad is Double, pred is Float"),
            ((one, x, x[:1], None, None, 1.0), r"target is \[1, 3\], pred is \[2, 3\]"),
            ((one, x, x, x[:1], x, 1.0), r"inside is \[1, 3\], pred is \[2, 3\]"),
            ((one, x, x, x, x.double(), 1.0), "outside is Double, pred is Float"),
            ((one, x, x, None, None, math.inf), "sigma must be positive and finite, not inf")):
        with pytest.raises(ValueError, match=message):
            raw.smooth_l1_loss_backward(*operands)


def test_lrn_names_a_bad_operand():
    x = torch.zeros(1, 2, 3, 3)
    for backward, options in ((raw.lrn_across_backward, (0.1, 0.75, 1.0)),
                              (raw.lrn_within_backward, (0.1, 0.75))):
        with pytest.raises(ValueError, match=r"grad is \[1, 2, 3, 2\], x is \[1, 2, 3, 3\]"):
            backward(x[..., :2], x, 3, *options)
        with pytest.raises(ValueError, match="grad is Double, x is Float"):
            backward(x.double(), x, 3, *options)
        with pytest.raises(ValueError, match="size must be odd, not 2"):
            backward(x, x, 2, *options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
def test_operands_on_two_devices_are_named():
    grad, argmax = torch.ones(2, 4, 2, 2), torch.zeros(2, 4, 2, 2, dtype=torch.int32)
    for operands, name in (((grad.cuda(), ROIS, argmax.cuda()), "rois are on cpu"),
                           ((grad.cuda(), ROIS.cuda(), argmax), "argmax is on cpu"),
                           ((grad, ROIS.cuda(), argmax), "rois are on cuda:0")):
        with pytest.raises(ValueError, match=name):
            raw.roi_pool_backward(*operands, SHAPE, 1.0)
    with pytest.raises(ValueError, match="scores are on cpu, boxes are on cuda:0"):
        raw.nms(torch.ones(2, 4).cuda(), torch.ones(2), None, 0.5, True, -1)


# Second derivatives

def differentiable():
    """{name: (function, operands that take gradients)}"""
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(1, 4, 5, 5, dtype=torch.float64, generator=draw)
    rois = ROIS[:1].double()
    return {
        "roi_pool": (lambda x: ops.roi_pool(x, rois, 2, 2, 1.0), [x]),
        "roi_align": (lambda x: ops.roi_align(x, rois, 2, 2, 1.0), [x]),
        "roi_align of rois": (lambda r: ops.roi_align(x, r, 2, 2, 1.0), [rois]),
        "psroi_pool": (lambda x: ops.psroi_pool(x, rois, 1, 2, 1.0), [x]),
        "smooth_l1_loss": (lambda a, b: ops.smooth_l1_loss(a, b), [x, 2 * x]),
        "lrn_across": (lambda x: ops.lrn_across(x, 3, 0.1, 0.75), [x]),
        "lrn_within": (lambda x: ops.lrn_within(x, 3, 0.1, 0.75), [x]),
    }


@pytest.mark.parametrize("name", differentiable())
def test_second_derivatives_refuse(name):
    function, operands = differentiable()[name]
    leaves = [x.clone().requires_grad_() for x in operands]
    loss = function(*leaves).square().sum()
    grads = torch.autograd.grad(loss, leaves, create_graph=True)
    assert all(grad.any() for grad in grads)
    with pytest.raises(RuntimeError, match=f"ops.{name.split()[0]} has no second derivative"):
        sum(grad.square().sum() for grad in grads).backward()
