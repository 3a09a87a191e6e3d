"""Fillers: exact ones by hand, random ones by their statistics (six standard errors)."""
import math

import pytest
import torch
from google.protobuf import text_format

from caffe.core.errors import LayerError
from caffe.layer_types.common.fillers import fan_in, fan_out, fill
from caffe.proto import caffe_pb2


def filled(text, *shape):
    torch.manual_seed(3)
    data = torch.zeros(shape)
    fill(data, text_format.Parse(text, caffe_pb2.FillerParameter()))
    return data


def near(got, expected, spread, count):
    assert abs(float(got) - expected) < 6 * spread / math.sqrt(count)


def test_no_filler_leaves_the_values():
    data = torch.ones(3)
    fill(data, None)
    assert data.tolist() == [1, 1, 1]


def test_constant_is_the_default_type():
    assert filled("", 2).tolist() == [0, 0]
    assert filled("value: 1.5", 2).tolist() == [1.5, 1.5]


def test_uniform():
    data = filled("type: 'uniform' min: -1 max: 3", 100, 100)
    assert -1 <= data.min() < -0.99 and 2.99 < data.max() <= 3
    near(data.mean(), 1, 4 / math.sqrt(12), data.numel())


def test_gaussian():
    data = filled("type: 'gaussian' mean: 2 std: 0.5", 100, 100)
    near(data.mean(), 2, 0.5, data.numel())
    near(data.std(), 0.5, 0.5 / math.sqrt(2), data.numel())


def test_sparse_gaussian_keeps_a_share_of_sparse_over_first_axis():
    data = filled("type: 'gaussian' sparse: 15", 60, 200)
    near((data != 0).float().mean(), 15 / 60, math.sqrt(0.25 * 0.75), data.numel())


def test_positive_unitball_rows_sum_to_one():
    data = filled("type: 'positive_unitball'", 5, 3, 4)
    assert (data >= 0).all()
    torch.testing.assert_close(data.flatten(1).sum(1), torch.ones(5))


def test_fans_are_quotients_of_the_count():
    # (O, I, kh, kw) = (8, 4, 3, 3): 288 / 8 inputs of an output, 288 / 4 outputs of an input
    assert (fan_in((8, 4, 3, 3)), fan_out((8, 4, 3, 3))) == (36, 72)
    assert (fan_in((7,)), fan_out((7,))) == (1, 7)


@pytest.mark.parametrize("norm, fan", [("FAN_IN", 1600 / 40), ("FAN_OUT", 1600 / 10),
                                       ("AVERAGE", 100)])
def test_xavier_and_msra_scale_with_the_fan(norm, fan):
    shape = 40, 10, 2, 2
    data = filled(f"type: 'xavier' variance_norm: {norm}", *shape)
    limit = math.sqrt(3 / fan)
    assert 0.97 * limit < data.abs().max() <= limit
    data = filled(f"type: 'msra' variance_norm: {norm}", *shape)
    near(data.std(), math.sqrt(2 / fan), math.sqrt(2 / fan) / math.sqrt(2), data.numel())


@pytest.mark.parametrize("width, ramp", [
    (2, [0.5, 0.5]),                          # f = 1, centre 1 / 2: 1 - |x - 0.5|
    (4, [0.25, 0.75, 0.75, 0.25]),            # f = 2, centre 3 / 4: 1 - |x / 2 - 0.75|
    (5, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])])    # f = 3, centre 4 / 6
def test_bilinear_is_a_product_of_ramps(width, ramp):
    data = filled("type: 'bilinear'", 2, 1, width, width)
    expected = torch.outer(torch.tensor(ramp), torch.tensor(ramp))
    torch.testing.assert_close(data, expected.expand(2, 1, width, width))


def test_one_seed_gives_one_set_of_values():
    assert torch.equal(filled("type: 'gaussian'", 9), filled("type: 'gaussian'", 9))


@pytest.mark.parametrize("text, shape, message", [
    ("type: 'xaver'", (2, 2), 'did you mean "xavier"'),
    ("type: 'uniform' sparse: 2", (2, 2), "sparse"),
    ("type: 'gaussian' sparse: 3", (2, 2), "sparse"),
    ("type: 'bilinear'", (2, 2), "4 axes"),
    ("type: 'bilinear'", (1, 1, 2, 3), "square"),
    ("type: 'xavier'", (), "at least one axis"),
    ("type: 'positive_unitball'", (), "at least one axis")])
def test_refused(text, shape, message):
    with pytest.raises(LayerError, match=message):
        filled(text, *shape)
