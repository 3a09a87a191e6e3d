"""fast_rcnn.bbox_transform: encoding, decoding, clipping, on numpy arrays and on tensors."""
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faster_rcnn.boxes.transform import bbox_transform, bbox_transform_inv, clip_boxes

ROI = np.array([[10.0, 20, 19, 39]])        # 10 x 20 pixels, centre (15, 30)
GT = np.array([[15.0, 10, 34, 29]])         # 20 x 20 pixels, centre (25, 20)
DELTAS = [[1.0, -0.5, np.log(2), 0.0]]


def test_encoding_by_hand():
    assert bbox_transform(ROI, GT)[0].tolist() == pytest.approx(DELTAS[0])


def test_decoding_by_hand():
    # the far corner is centre + size / 2: one pixel beyond the box
    assert bbox_transform_inv(ROI, np.array(DELTAS))[0].tolist() == pytest.approx([15, 10, 35, 30])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_and_tensors_agree_and_keep_their_dtype(dtype):
    roi, gt, deltas = ROI.astype(dtype), GT.astype(dtype), np.array(DELTAS * 1, dtype)
    for function, args in ((bbox_transform, (roi, gt)), (bbox_transform_inv, (roi, deltas))):
        array = function(*args)
        tensor = function(*map(torch.from_numpy, args))
        assert array.dtype == dtype and np.array_equal(array, tensor.numpy())


def test_whole_numbers_and_read_only_arrays_are_accepted():
    roi, gt = ROI.astype(np.uint16), GT.astype(np.uint16)
    roi.flags.writeable = False
    assert bbox_transform(roi, gt)[0].tolist() == pytest.approx(DELTAS[0], abs=1e-6)
    assert bbox_transform(roi, gt).dtype == np.float32


def test_decoding_several_classes_and_none():
    deltas = np.array([DELTAS[0] + [0, 0, 0, 0]])
    got = bbox_transform_inv(ROI, deltas)
    assert got.shape == (1, 8) and got[0, 4:].tolist() == [10, 20, 20, 40]
    assert bbox_transform_inv(np.zeros((0, 4)), np.zeros((0, 8))).shape == (0, 8)


def test_sizes_grow_without_limit_unless_one_is_given():
    deltas = np.array([[0, 0, 10.0, -10]])
    assert bbox_transform_inv(ROI, deltas)[0, 2] > 1e5
    limited = bbox_transform_inv(ROI, deltas, 1.0)
    assert limited[0, 2] == pytest.approx(15 + 5 * np.e)
    assert limited[0, 3] == pytest.approx(30 + 10 * np.exp(-10))      # small ones stay small


def test_clipping():
    assert clip_boxes(np.array([[-3.0, 5, 900, 700]]), (480, 640, 3)).tolist() == [[0, 5, 639, 479]]


coordinate = st.floats(0, 500)
side = st.floats(0, 300)


@given(*[coordinate, coordinate, side, side] * 2)
def test_decoding_undoes_encoding_but_for_the_pixel(x, y, w, h, x2, y2, w2, h2):
    roi, gt = np.array([[x, y, x + w, y + h]]), np.array([[x2, y2, x2 + w2, y2 + h2]])
    decoded = bbox_transform_inv(roi, bbox_transform(roi, gt))
    assert decoded[0].tolist() == pytest.approx((gt + [0, 0, 1, 1])[0].tolist(), abs=1e-6)
