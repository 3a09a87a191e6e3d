"""Winograd's convolution: by hand, against PyTorch's in float64, gradients, errors."""
import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe.operators import winograd
from caffe.operators.winograd import winograd_conv, winograd_conv2d, winograd_pack

# largest error against float64, of the largest value
ALLOWED = {2: 1e-6, 4: 3e-6, 6: 3e-5}
# images, channels, outputs, height, width, padding
SHAPES = [(1, 1, 1, 3, 3, 0), (1, 5, 7, 9, 11, 1), (2, 16, 40, 13, 6, 0), (3, 33, 17, 5, 5, 2),
          (1, 64, 64, 1, 1, 1), (2, 8, 16, 30, 31, (0, 2)), (1, 3, 20, 7, 9, 3),
          (1, 24, 9, 40, 2, 1)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def relative_error(found, wanted):
    found, wanted = found.detach(), wanted.detach()
    return float((found - wanted).abs().max() / wanted.abs().max())


def operands(images, channels, outputs, height, width, padding):
    return (torch.randn(images, channels, height, width), torch.randn(outputs, channels, 3, 3),
            torch.randn(outputs))


def exact(x, weight, bias, padding):
    return F.conv2d(x.double(), weight.double(), bias.double(), padding=padding)


def test_by_hand():
    #  1 2 3     every pixel and its neighbours, whose weights are 1; zeros around
    #  4 5 6
    x, ones = torch.arange(1.0, 7).view(1, 1, 2, 3), torch.ones(1, 1, 3, 3)
    for tile in ALLOWED:
        top = winograd_conv(x, winograd_pack(ones, tile), torch.tensor([100.0]))
        assert top.flatten().tolist() == pytest.approx([112, 121, 116] * 2, rel=1e-6)


@pytest.mark.parametrize("place", range(9))
def test_a_single_weight_shifts_the_image(place):
    x, weight = torch.randn(1, 1, 10, 9), torch.zeros(1, 1, 9)
    weight[..., place] = 1
    top = winograd_conv(x, winograd_pack(weight.view(1, 1, 3, 3)), padding=0)
    row, column = divmod(place, 3)
    torch.testing.assert_close(top, x[..., row:row + 8, column:column + 7], rtol=0, atol=1e-5)


@pytest.mark.parametrize("tile", ALLOWED)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_like_the_plain_convolution(case, tile):
    x, weight, bias = operands(*case)
    weights = winograd_pack(weight, tile)
    wanted = exact(x, weight, bias, case[-1])
    for layout in (torch.contiguous_format, torch.channels_last):
        top = winograd_conv(x.contiguous(memory_format=layout), weights, bias, case[-1])
        assert relative_error(top, wanted) < ALLOWED[tile]
        assert top.is_contiguous(memory_format=torch.channels_last)
    assert relative_error(winograd_conv(x, weights, None, case[-1]),
                          wanted - bias.view(-1, 1, 1)) < ALLOWED[tile]


@pytest.mark.parametrize("tile", ALLOWED)
def test_many_channels_and_tiles(tile):
    x, weight, bias = operands(2, 70, 90, 50, 61, 1)
    top = winograd_conv(x, winograd_pack(weight, tile), bias)
    assert relative_error(top, exact(x, weight, bias, 1)) < ALLOWED[tile]


def test_sum_and_relu_on_the_way_out():
    x, weight, bias = operands(2, 9, 21, 7, 6, 1)
    residual, weights = torch.randn(2, 21, 7, 6), winograd_pack(weight)
    wanted = exact(x, weight, bias, 1) + residual
    assert relative_error(winograd_conv(x, weights, bias, residual=residual), wanted) < ALLOWED[4]
    rectified = winograd_conv(x, weights, bias, relu=True, residual=residual)
    assert relative_error(rectified, wanted.relu()) < ALLOWED[4] and rectified.min() == 0


def test_relu_keeps_what_is_not_a_number():
    x = torch.full((1, 1, 3, 3), torch.nan)
    assert winograd_conv(x, winograd_pack(torch.ones(1, 1, 3, 3)), relu=True).isnan().all()


def test_the_result_goes_into_a_slice_of_a_larger_map():
    x, weight, bias = operands(2, 9, 21, 7, 6, 1)
    whole = torch.zeros(2, 40, 7, 6).contiguous(memory_format=torch.channels_last)
    part = whole[:, 3:24]
    assert winograd_conv(x, winograd_pack(weight), bias, out=part) is part
    assert relative_error(part, exact(x, weight, bias, 1)) < ALLOWED[4]
    assert not whole[:, :3].any() and not whole[:, 24:].any()


def test_the_sum_takes_place_in_the_residual():
    x, weight, bias = operands(2, 9, 21, 7, 6, 1)
    total = torch.randn(2, 21, 7, 6).contiguous(memory_format=torch.channels_last)
    wanted = exact(x, weight, bias, 1) + total
    winograd_conv(x, winograd_pack(weight), bias, residual=total, out=total)
    assert relative_error(total, wanted) < ALLOWED[4]


@pytest.mark.parametrize("view", [
    lambda x: x.contiguous(memory_format=torch.channels_last)[:, 3:20],
    lambda x: x[:, 2:19], lambda x: x.transpose(2, 3), lambda x: x[:, :17, 1:-1, 2:-2],
    lambda x: x.flip(1)[::2], lambda x: x[:1, :1].expand(3, 17, -1, -1)])
def test_every_layout_is_taken(view):
    x = view(torch.randn(3, 22, 9, 8))
    weight = torch.randn(3, 3, 6, x.shape[1]).permute(2, 3, 0, 1)
    bias = torch.randn(12)[::2]
    top = winograd_conv(x, winograd_pack(weight), bias)
    assert relative_error(top, exact(x, weight, bias, 1)) < ALLOWED[4]


@pytest.mark.parametrize("case", [
    (3, 20, 30, 41, 39, 1),     # blocks of tiles for every thread
    (2, 20, 150, 25, 29, 1),    # fewer blocks than threads, so that these divide the outputs
    (1, 20, 150, 13, 11, 1), (1, 5, 7, 4, 4, 1)])
def test_the_same_bits_for_any_number_of_threads_and_images(case):
    x, weight, bias = operands(*case)
    weights, tops = winograd_pack(weight), []
    for count in (1, 2, 5):
        with threads_of_torch(count):
            tops.append(winograd_conv(x, weights, bias))
            assert winograd_pack(weight).packed.equal(weights.packed)
    assert relative_error(tops[0], exact(x, weight, bias, 1)) < ALLOWED[4]
    assert all(top.equal(tops[0]) for top in tops)
    assert winograd_conv(x[-1:], weights, bias).equal(tops[0][-1:])


def test_nothing_to_do():
    x, weight, bias = operands(2, 4, 6, 8, 8, 1)
    assert winograd_conv(x[:0], winograd_pack(weight), bias).shape == (0, 6, 8, 8)
    assert winograd_conv(x, winograd_pack(weight[:0]), bias[:0]).shape == (2, 0, 8, 8)
    top = winograd_conv(x[:, :0], winograd_pack(weight[:, :0]), bias)
    assert top.equal(bias.view(-1, 1, 1).expand(2, 6, 8, 8))


# Gradients

@pytest.mark.parametrize("by_winograd", [True, False])
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_gradients_like_those_of_the_plain_convolution(case, by_winograd, monkeypatch):
    monkeypatch.setattr(winograd, "pays", lambda *_, **__: by_winograd)
    leaves = [t.requires_grad_() for t in operands(*case)]
    doubles = [t.detach().double().requires_grad_() for t in leaves]
    top, wanted = winograd_conv2d(*leaves, case[-1]), exact(*doubles, case[-1])
    assert relative_error(top, wanted) < ALLOWED[4]
    diff = torch.randn(wanted.shape, dtype=torch.float64)
    for found, right in zip(torch.autograd.grad(top, leaves, diff.float()),
                            torch.autograd.grad(wanted, doubles, diff)):
        assert found.dtype == torch.float32 and relative_error(found, right) < 4e-6


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False),
                                    (False, False, True), (True, False, True)])
def test_only_the_gradients_that_are_wanted(wanted, monkeypatch):
    monkeypatch.setattr(winograd, "pays", lambda *_, **__: True)
    leaves = [t.requires_grad_(w) for t, w in zip(operands(1, 5, 7, 9, 11, 1), wanted)]
    winograd_conv2d(*leaves).square().sum().backward()
    found = [leaf.grad for leaf in leaves]
    assert [grad is not None for grad in found] == list(wanted)
    plain = [leaf.detach().requires_grad_(w) for leaf, w in zip(leaves, wanted)]
    F.conv2d(*plain, padding=1).square().sum().backward()
    for grad, leaf in zip(found, plain):
        if grad is not None:
            torch.testing.assert_close(grad, leaf.grad, rtol=1e-4, atol=1e-3)


def test_no_bias():
    x, weight, _ = operands(1, 5, 7, 9, 11, 1)
    winograd_conv2d(x.requires_grad_(), weight.requires_grad_(), None).sum().backward()
    assert x.grad.shape == x.shape and weight.grad.shape == weight.shape


def test_second_derivatives_refuse(monkeypatch):
    monkeypatch.setattr(winograd, "pays", lambda *_, **__: True)
    x, weight, bias = (t.requires_grad_() for t in operands(1, 5, 7, 9, 11, 1))
    grad, = torch.autograd.grad(winograd_conv2d(x, weight, bias).square().sum(), x,
                                create_graph=True)
    with pytest.raises(RuntimeError, match="winograd_conv2d has no second derivative"):
        grad.sum().backward()


def test_packed_weights_pass_no_gradient():
    x, weight, bias = operands(1, 5, 7, 9, 11, 1)
    top = winograd_conv(x.requires_grad_(), winograd_pack(weight), bias)
    with pytest.raises(RuntimeError, match="winograd_conv passes no gradient; use winograd_conv2d"):
        top.sum().backward()


# What PyTorch must know

def test_operators_keep_their_promises():
    raw = torch.ops.caffe_fast_rcnn
    x, weight, bias = operands(2, 5, 7, 9, 11, 1)
    packed, top = winograd_pack(weight).packed, F.conv2d(x, weight, bias, padding=1)
    out = torch.empty_like(top, memory_format=torch.channels_last)
    leaves = x.clone().requires_grad_(), weight.clone().requires_grad_()
    for name, arguments in (
            ("winograd_pack", (weight, 4, True)),
            ("winograd_conv", (x, packed, 7, bias, 1, 1, True, top)),
            ("winograd_conv_out", (x, packed, 7, bias, 1, 1, True, top, out)),
            ("winograd_conv2d", (*leaves, bias.clone().requires_grad_(), 1, 1, 4)),
            ("winograd_conv2d_backward", (top.detach(), weight, 1, 1, 4))):
        torch.library.opcheck(getattr(raw, name).default, arguments)


def test_shapes_on_the_meta_device():
    x, weight, bias = operands(2, 5, 40, 9, 11, 1)
    real = winograd_conv2d(x, weight, bias, (0, 2))
    meta = winograd_conv2d(x.to("meta"), weight.to("meta"), bias.to("meta"), (0, 2))
    assert meta.shape == real.shape and meta.stride() == real.stride()
    assert winograd_pack(weight.to("meta")).packed.shape == winograd_pack(weight).packed.shape


# Errors

X, WEIGHT, BIAS = torch.zeros(1, 4, 6, 6), torch.zeros(8, 4, 3, 3), torch.zeros(8)
PACKED = winograd_pack(WEIGHT)


@pytest.mark.parametrize("options, message", [
    ({"x": X[0]}, r"winograd_conv: x must be \(N, C, H, W\), not \[4, 6, 6\]"),
    ({"x": X.double()}, "x must be float32 or bfloat16, not Double"),
    ({"x": X.bfloat16()}, "x is BFloat16, the weights are Float"),
    ({"x": X[:, :3]}, r"x is \[1, 3, 6, 6\], the weights are for 4 channels"),
    ({"x": X[..., :1], "padding": 0}, r"the kernel does not fit into x \[1, 4, 6, 1\]"),
    ({"padding": -1}, "padding must not be negative, not -1, -1"),
    ({"weights": PACKED._replace(packed=WEIGHT)}, "packed must come from winograd_pack"),
    ({"weights": PACKED._replace(out_channels=99)}, "which are not 99 rounded up"),
    ({"bias": BIAS[:4]}, r"bias must be \(8,\), not \[4\]"),
    ({"bias": BIAS.half()}, "bias must be float32 or bfloat16, not Half"),
    ({"residual": X}, r"residual must be \[1, 8, 6, 6\], not \[1, 4, 6, 6\]"),
    ({"residual": torch.zeros(1, 8, 6, 6).double()}, "residual must be float32 or bfloat16, not"),
    ({"residual": torch.zeros(1, 8, 6, 6).bfloat16()}, "residual is BFloat16, x is Float"),
    ({"out": X}, r"out must be \[1, 8, 6, 6\], not \[1, 4, 6, 6\]"),
    ({"out": torch.zeros(1, 8, 6, 6)}, "out must be channels_last, not have the strides"),
])
def test_an_operand_that_does_not_fit_is_named(options, message):
    sound = {"x": X, "weights": PACKED, "bias": BIAS, "padding": 1}
    with pytest.raises(ValueError, match=message):
        winograd_conv(**{**sound, **options})


def test_weights_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"weight must be \(O, C, 3, 3\), not \[8, 4, 5, 5\]"):
        winograd_pack(torch.zeros(8, 4, 5, 5))
    with pytest.raises(ValueError, match="weight must be float32 or bfloat16, not Double"):
        winograd_conv2d(X, WEIGHT.double())
    with pytest.raises(ValueError, match="a tile has 2, 4 or 6 outputs along a side, not 3"):
        winograd_pack(WEIGHT, 3)
    with pytest.raises(ValueError, match=r"x is \[1, 3, 6, 6\], the weights are for 4 channels"):
        winograd_conv2d(X[:, :3], WEIGHT)


def test_memory_that_is_read_and_written_is_refused():
    whole = torch.zeros(1, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match="out shares memory with x"):
        winograd_conv(whole, winograd_pack(torch.zeros(8, 8, 3, 3)), out=whole)
