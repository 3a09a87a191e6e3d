"""caffe.coord_map: the values that pycaffe's own tests pin, errors, and a crop that runs."""
import numpy as np
import pytest

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.coord_map import (
    AxisMismatchException,
    UndefinedMapException,
    compose,
    coord_map,
    coord_map_from_to,
    crop,
    inverse,
)


def spec(kernel=3, stride=1, pad=0, pool=2, dstride=2, dpad=0):
    """data -> conv -> pool -> deconv, whose kernels are twice their strides."""
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[2, 1, 100, 100]))
    n.aux = L.Input(shape=dict(dim=[2, 1, 20, 20]))
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=kernel, stride=stride, pad=pad)
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=pool, stride=pool)
    n.deconv = L.Deconvolution(n.pool, num_output=10, kernel_size=2 * dstride, stride=dstride,
                               pad=dpad)
    return n


def deconv_map(**options):
    n = spec(**options)
    return coord_map_from_to(n.deconv, n.data)


def test_conv_pool_deconv():
    assert deconv_map() == (1, 1, 0)
    assert deconv_map(pool=4, dstride=4) == (1, 1, -1)


def test_layers_that_do_not_move_coordinates():
    n = spec()
    n.relu = L.ReLU(n.deconv)
    n.conv1x1 = L.Convolution(n.relu, num_output=10, kernel_size=1)
    for top in (n.relu, n.conv1x1):
        assert coord_map_from_to(top, n.data) == deconv_map()
    assert coord_map_from_to(n.data, n.data) == (None, 1, 0)


@pytest.mark.parametrize("pad", [1, 7])
def test_padding(pad):
    assert deconv_map(pad=pad) == (1, 1, -pad)
    assert deconv_map(dpad=pad) == (1, 1, pad)
    assert deconv_map(pad=pad, dpad=pad) == (1, 1, 0)


def test_several_bottoms_are_mapped_alike():
    n = spec()
    n.conv_data, n.conv_aux = L.Convolution(n.data, n.aux, ntop=2, num_output=10, kernel_size=5,
                                            stride=2)
    assert coord_map_from_to(n.conv_data, n.data) == coord_map_from_to(n.conv_aux, n.aux) == \
        (1, 2, 2)       # the centre of the window on pixel i is pixel 2 i + 2


def test_each_axis_has_its_own_map():
    axis, a, b = deconv_map(kernel=[3, 5], stride=[1, 2], pad=[0, 10])
    high, wide = deconv_map(kernel=3), deconv_map(kernel=5, stride=2, pad=10)
    assert axis == 1 and (a[0], b[0]) == high[1:] and (a[1], b[1]) == wide[1:]


def test_height_and_width_in_fields_of_their_own():
    n = spec()
    n.conv = L.Convolution(n.data, num_output=1, kernel_h=3, kernel_w=5, stride_h=1, stride_w=2,
                           pad_h=0, pad_w=10)
    axis, a, b = coord_map_from_to(n.conv, n.data)
    assert (axis, list(a), list(b)) == (1, [1, 2], [1, -8])


def test_three_dimensions():
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[2, 3, 100, 100, 100]))
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=[3, 3, 3], stride=[1, 1, 1],
                           pad=[0, 1, 2])
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    n.deconv = L.Deconvolution(n.pool, num_output=10, kernel_size=4, stride=2)
    axis, a, b = coord_map_from_to(n.deconv, n.data)
    assert axis == 1 and list(a) == [1, 1, 1] and list(b) == [0, -1, -2]


def test_crop_of_a_crop():
    n = spec()
    n.crop = L.Crop(n.deconv, n.data, axis=2, offset=6)
    assert coord_map_from_to(n.crop, n.data) == (1, 1, 6)


def test_maps():
    half = coord_map(L.Pooling(L.Input(), kernel_size=2, stride=2).fn)
    assert half == (1, 0.5, -0.25)
    assert compose(half, inverse(half)) == (1, 1, 0)
    assert compose((None, 1, 0), half) == half
    dilated = L.Convolution(L.Input(), kernel_size=3, dilation=4)
    assert coord_map(dilated.fn) == (1, 1, -4)
    with pytest.raises(AxisMismatchException, match="axis 1, the other at 2"):
        compose(half, (2, 1, 0))
    with pytest.raises(UndefinedMapException, match="InnerProduct"):
        coord_map(L.InnerProduct(L.Input()).fn)
    with pytest.raises(UndefinedMapException, match="kernel_size is not known"):
        coord_map(L.Pooling(L.Input(), global_pooling=True).fn)


def test_blobs_that_no_spatial_layers_connect():
    n = spec()
    n.ip = L.InnerProduct(n.deconv, num_output=10)
    for top in (n.ip, n.aux):
        with pytest.raises(RuntimeError, match="connected by spatial layers"):
            coord_map_from_to(top, n.data)


@pytest.mark.parametrize("options, message", [
    (dict(pool=3, dstride=2), "scale mismatch"),
    (dict(dpad=10), r"begins \[10.*\] pixels before"),
    (dict(kernel=2), "no whole number")])
def test_crops_that_cannot_be(options, message):
    n = spec(**options)
    for error in (AssertionError, caffe.CaffeError):
        with pytest.raises(error, match=message):
            crop(n.deconv, n.data)


def test_a_fully_convolutional_net_is_aligned():
    """As in FCN: pad, pool, upsample with bilinear weights, crop: every pixel is where it was."""
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 1, 9, 12]))
    n.conv = L.Convolution(n.data, num_output=1, kernel_size=1, pad=5,
                           weight_filler=dict(type="constant", value=1))
    n.pool = L.Pooling(n.conv, pool=P.Pooling.AVE, kernel_size=2, stride=2)
    n.up = L.Deconvolution(n.pool, convolution_param=dict(
        num_output=1, kernel_size=4, stride=2, bias_term=False,
        weight_filler=dict(type="bilinear")))
    n.score = crop(n.up, n.data)
    assert n.to_proto().layer[-1].crop_param.axis == 2
    assert list(n.to_proto().layer[-1].crop_param.offset) == [6]
    net = caffe.Net(n.to_proto(), caffe.TEST)
    ramp = np.arange(9)[:, None] + 10.0 * np.arange(12)
    net.blobs["data"].data[0, 0] = ramp
    score = net.forward()["score"]
    assert score.shape == (1, 1, 9, 12)
    np.testing.assert_allclose(score[0, 0, 2:-2, 2:-2], ramp[2:-2, 2:-2], atol=1e-5)
