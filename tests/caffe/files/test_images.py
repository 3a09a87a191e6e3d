"""The image reader: orientation, depth, channels."""
import struct

import cv2
import numpy as np
import pytest

from caffe import io
from caffe.core.errors import CaffeError, DataError
from caffe.files import images
from caffe.proto.caffe_pb2 import Datum

EXIF_TURNED = bytes([       # APP1 segment: a TIFF header and one entry, orientation 6 (turn right)
    0xFF, 0xE1, 0, 34, *b"Exif\0\0", *b"MM", 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1,
    0, 6, 0, 0, 0, 0, 0, 0])


@pytest.fixture
def turned(tmp_path):
    """A file whose stored pixels, 8 high and 16 wide, are to be shown 16 high and 8 wide."""
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:, :8] = 255     # white at the left, hence at the top when it is turned right
    data = cv2.imencode(".jpg", stored)[1].tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + EXIF_TURNED + data[2:])
    return path


@pytest.mark.parametrize("color, channels", [(True, 3), (False, 1)])
def test_pixels_come_as_they_are_stored_unless_they_shall_be_upright(turned, color, channels):
    stored = images.read_image(turned, color=color)
    assert stored.shape == (8, 16, channels) and stored[:, :7].min() > 200 > stored[:, 9:].max()
    upright = images.read_image(turned, color=color, upright=True)
    assert upright.shape == (16, 8, channels) and upright[:7].min() > 200 > upright[9:].max()
    assert images.read_image(turned, size=(4, 6), color=color).shape == (4, 6, channels)


def test_the_channels_that_are_there_are_never_turned(turned):
    assert images.read_image(turned, color=None, upright=True).shape == (8, 16, 3)


def test_deep_images(tmp_path):
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    data = cv2.imencode(".png", deep)[1].tobytes()
    assert np.array_equal(images.decoded(data, deep=True)[..., 0], deep)
    assert np.array_equal(images.decoded(data, color=False, deep=True)[..., 0], deep)
    assert images.decoded(data, color=False).dtype == np.uint8
    with pytest.raises(DataError, match="the image has values of type uint16"):
        images.decode_image(data)


def test_what_is_no_image(tmp_path):
    assert images.decoded(b"") is None and images.decoded(b"no image") is None
    header = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, 1 << 23, 20, 1, 24, 0, 0, 0,
                         0, 0, 0)
    assert images.decoded(header) is None       # wider than OpenCV allows
    with pytest.raises(DataError, match="the image cannot be decoded"):
        images.decode_image(header)
    with pytest.raises(CaffeError, match="OpenCV cannot decode it"):
        io.datum_to_array(Datum(encoded=True, data=header))
    with pytest.raises(DataError, match="nowhere.png cannot be read: No such file"):
        images.read_image(tmp_path / "nowhere.png")
