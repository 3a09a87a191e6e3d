"""Blob as pycaffe's users know it."""
import numpy as np
import pytest
import torch
from torch import nn

import caffe
from caffe.core import memory
from caffe.core.blob import Blob, BlobVec, ParamBlob, SharedParamBlob


@pytest.mark.parametrize("shape, legacy", [((2, 3, 4, 5), [2, 3, 4, 5]), ((6, 7), [6, 7, 1, 1]),
                                           ((), [1, 1, 1, 1])])
def test_legacy_axes(shape, legacy):
    blob = Blob(shape)
    assert [blob.num, blob.channels, blob.height, blob.width] == legacy
    assert blob.count == np.prod(legacy)


def test_legacy_axes_end_at_four():
    with pytest.raises(caffe.CaffeError, match="at most 4 axes"):
        Blob((1, 1, 1, 1, 2)).num  # noqa: B018


def test_data_and_diff_are_float32_and_independent():
    blob = Blob((2,))
    blob.data[...] = 1
    assert blob.data.dtype == blob.diff.dtype == np.float32
    assert blob.diff.tolist() == [0, 0]


def test_assigning_to_data_or_diff_copies():
    blob, values = Blob((2,)), np.array([1.0, 2])
    blob.data = values
    blob.diff = values
    values[0] = 5
    assert blob.data.tolist() == blob.diff.tolist() == [1, 2]
    blob.diff *= 2
    assert blob.diff.tolist() == [2, 4]


def test_reshape_shapes_both():
    blob = Blob((2,))
    blob.diff[...] = 1
    blob.reshape(3, np.int64(2))
    assert blob.shape == blob.data.shape == blob.diff.shape == (3, 2)
    with pytest.raises(caffe.CaffeError, match="cannot have the shape"):
        blob.reshape(-1)


@pytest.mark.parametrize("copied", [False, True])
def test_what_the_tensor_gets_numpy_sees(monkeypatch, copied):
    monkeypatch.setattr(memory, "needs_copy", lambda device: copied)
    blob = Blob((2,))
    blob.data[1] = 1
    blob.tensor[0] = 3
    assert blob.data.tolist() == [3, 1]
    parameter = ParamBlob(nn.Parameter(torch.zeros(2)))
    parameter.data[1] = 1
    parameter.tensor.data[0] = 3
    assert parameter.data.tolist() == parameter.tensor.tolist() == [3, 1]


def test_an_assigned_tensor_is_converted_and_not_written_to():
    blob, mine = Blob((1,)), torch.tensor([1.5, 2.5], dtype=torch.float64)
    blob.tensor = mine
    assert blob.shape == (2,) and blob.tensor.dtype == torch.float32
    floats = torch.ones(2)
    blob.tensor = floats
    blob.data[...] = 4
    assert floats.tolist() == [1, 1] and blob.tensor.tolist() == [4, 4]


def test_a_zero_gradient_is_none():
    blob = Blob((2,))
    assert blob.top_diff() is None
    blob.set_diff(torch.ones(2))
    assert blob.top_diff().tolist() == [1, 1]
    blob.set_diff(None)
    assert blob.top_diff() is None


def test_parameters_are_updated_where_they_are():
    parameter = nn.Parameter(torch.zeros(2))
    blob = ParamBlob(parameter)
    blob.data[0] = 1
    assert parameter.tolist() == [1, 0]
    blob.tensor = torch.tensor([5.0, 6])
    assert parameter.tolist() == [5, 6] and blob.tensor is parameter


def test_share_values_leaves_gradients_apart():
    one, two = (ParamBlob(nn.Parameter(torch.zeros(2))) for _ in range(2))
    two.share_values(one)
    one.data[0] = 7
    one.diff[0] = 8
    assert two.parameter.tolist() == two.data.tolist() == [7, 0]
    assert two.diff.tolist() == [0, 0]


def test_a_shared_blob_of_another_shape_is_the_same_memory():
    weight = torch.arange(24.0).view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    owner = ParamBlob(nn.Parameter(weight))
    shared = SharedParamBlob(owner, (2, 12))
    np.testing.assert_array_equal(shared.data, np.arange(24).reshape(2, 12))
    shared.data[1, 0] = 99
    assert owner.data[1, 0, 0, 0] == owner.parameter[1, 0, 0, 0] == shared.parameter[1, 0] == 99
    shared.accumulate(torch.ones(2, 12))
    assert owner.diff.sum() == 24


def test_add_blob():
    blobs = BlobVec(device=torch.device("cpu"))
    blobs.add_blob(2, 3)
    assert len(blobs) == 1 and blobs[0].data.shape == (2, 3) and not blobs[0].data.any()
