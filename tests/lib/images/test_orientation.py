"""Photographs are turned as PIL turns them."""
import numpy as np
import pytest
from PIL import Image, ImageOps

from faster_rcnn.images.orientation import read_upright, turned
from faster_rcnn.images.reading import read_image

ORIENTATION = 0x0112


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(tmp_path, orientation):
    rng = np.random.default_rng(2)
    image = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1))
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    path = str(tmp_path / "phone.jpg")
    image.save(path, exif=exif, quality=95)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))[:, :, ::-1]
    found = read_upright(path)
    assert found.shape == shown.shape and found.flags.c_contiguous
    # decoders of JPEG differ by rounding; a wrong turn by far more
    assert np.abs(found.astype(int) - shown).max() < 12
    assert (turned(read_image(path), orientation) == found).all()
    assert read_image(path).shape == (24, 32, 3)        # data sets count stored pixels
