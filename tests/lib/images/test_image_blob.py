"""utils.blob, utils.images, utils.timer, utils.read_ahead, utils.layer_params."""
import threading
import time
import types

import cv2
import numpy as np
import pytest
from PIL import Image

from caffe.core.logs import Timer
from faster_rcnn.detection.inputs import image_and_info_blobs
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.files.read_ahead import read_ahead
from faster_rcnn.images.blob import (
    im_list_to_blob,
    im_scale_factor,
    image_pyramid_blob,
    prep_im_for_blob,
)
from faster_rcnn.images.reading import (
    ImageError,
    image_fault,
    image_orientation,
    image_size,
    read_image,
)
from faster_rcnn.settings.config import cfg_override
from faster_rcnn.settings.layer_params import layer_params


@pytest.mark.parametrize("shape, target, limit, scale", [
    ((480, 640, 3), 600, 1000, 1.25), ((640, 480), 600, 1000, 1.25),
    ((300, 900), 600, 1000, 1000 / 900),    # the longer side would be 1800
    ((200, 333), 600, 999, 3.0), ((200, 333.4), 600, 1000, 3.0)])     # 1000.2 rounds to the limit
def test_scale_factor(shape, target, limit, scale):
    assert im_scale_factor(shape, target, limit) == scale


def test_means_are_subtracted_before_scaling_and_the_input_stays():
    im = np.full((4, 6, 3), (10, 20, 30), np.uint8)
    scaled, scale = prep_im_for_blob(im, np.array([[[1.0, 2.0, 3.0]]]), 8, 100)
    assert scale == 2 and scaled.shape == (8, 12, 3) and scaled.dtype == np.float32
    assert (scaled == [9, 18, 27]).all() and (im == [10, 20, 30]).all()


def test_smaller_images_are_padded_right_and_below():
    blob = im_list_to_blob([np.ones((2, 3, 3), np.float32), np.full((4, 2, 3), 2, np.float32)])
    assert blob.shape == (2, 3, 4, 3)
    assert blob[0, 0].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert blob[1, 2].tolist() == [[2, 2, 0]] * 4
    blob = im_list_to_blob([np.ones((4, 5, 3), np.float32)], 4)
    assert blob.shape == (1, 3, 4, 8) and blob[0].sum() == 3 * 4 * 5


def test_pyramid():
    blob, scales = image_pyramid_blob(np.zeros((10, 20, 3), np.uint8), (0, 0, 0), (20, 5), 100)
    assert blob.shape == (2, 3, 20, 40) and scales.tolist() == [2, 0.5]
    im = np.zeros((10, 20, 3), np.uint8)
    assert image_pyramid_blob(im, (0, 0, 0), (20,), 100, 32)[0].shape == (1, 3, 32, 64)


def test_padding_to_multiples_is_not_counted_as_image():
    with cfg_override(TEST={"SCALES": [20], "MAX_SIZE": 100, "SCALE_MULTIPLE_OF": 32}):
        blobs = image_and_info_blobs(np.full((10, 20, 3), 200, np.uint8), TestOptions.from_cfg())
    assert blobs["data"].shape == (1, 3, 32, 64) and blobs["im_info"].tolist() == [[20, 40, 2]]
    assert not blobs["data"][..., 20:, :].any() and not blobs["data"][..., 40:].any()


def test_images_of_all_kinds_are_read_in_colour(tmp_path):
    for name, im in (("grey.png", np.full((3, 4), 7, np.uint8)),
                     ("alpha.png", np.full((3, 4, 4), 7, np.uint8))):
        cv2.imwrite(str(tmp_path / name), im)
        assert (read_image(str(tmp_path / name)) == np.full((3, 4, 3), 7)).all()


def test_unreadable_images_are_named(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.jpg cannot be decoded"):
        read_image(str(path))
    with pytest.raises(ImageError, match=r"missing\.jpg is not there"):
        read_image(str(tmp_path / "missing.jpg"))


def test_timer_knows_total_mean_and_last():
    timer = Timer()
    for seconds in (0.01, 0.03):
        timer.tic()
        time.sleep(seconds)
        timer.toc()
    assert timer.calls == 2 and 0.03 <= timer.diff < 0.04 + timer.total_time
    assert timer.average_time == pytest.approx(timer.total_time / 2)
    timer.tic()
    assert timer.toc(average=False) == timer.diff


def test_reading_ahead_keeps_the_order_and_works_in_another_thread():
    seen = []

    def work(item):
        seen.append((item, threading.current_thread()))
        return item * item

    results = read_ahead(work, range(5), depth=2)
    assert next(results) == 0
    assert list(results) == [1, 4, 9, 16]
    assert [item for item, _ in seen] == [0, 1, 2, 3, 4]
    assert threading.main_thread() not in {thread for _, thread in seen}


def test_reading_ahead_raises_when_the_item_is_due():
    results = read_ahead(lambda item: 1 / item, [1, 0, 2])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def layer(param_str):
    return types.SimpleNamespace(name="rpn-data", type="Python", param_str=param_str)


@pytest.mark.parametrize("text", [
    "'feat_stride': 16", "{'feat_stride': 16, 'scales': [4, 8]}",
    "'feat_stride': 16 \n'scales': !!python/tuple [4, 8]"])
def test_layer_parameters(text):
    params = layer_params(layer(text), required=["feat_stride"], scales=(8, 16, 32))
    assert params["feat_stride"] == 16
    assert tuple(params["scales"]) == ((4, 8) if "scales" in text else (8, 16, 32))


@pytest.mark.parametrize("text, message", [
    ("", "'feat_stride' is missing"), ("16", "NAME: VALUE pairs"),
    ("{'feat_stride': 16, 'scale': [8]}", 'unknown name .scale. .did you mean "scales"'),
    ("'feat_stride': [16", "rpn-data.*param_str:1:")])
def test_bad_layer_parameters_name_the_layer(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        layer_params(layer(text), required=["feat_stride"], scales=(8, 16, 32))
    assert 'layer "rpn-data" (Python), param_str' in str(caught.value)


def write_pictures(folder):
    """A whole JPEG and a whole PNG of noise; returns their paths."""
    im = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    paths = [str(folder / name) for name in ("a.jpg", "a.png")]
    for path in paths:
        cv2.imwrite(path, im)
    return paths


def test_broken_images_are_found(tmp_path):
    paths = write_pictures(tmp_path)
    assert [image_fault(path) for path in paths] == ["", ""]
    for path in paths:
        with open(path, "rb+") as file:
            file.truncate(900)
        assert image_fault(path) == "is cut off: pixels are missing"
        with open(path, "wb") as file:
            file.write(b"<html>")
        assert image_fault(path) == "cannot be decoded as an image"
        with open(path, "wb"):
            pass
        assert image_fault(path) == "is empty"
    assert image_fault(str(tmp_path / "none.jpg")) == "is not there"


def test_orientation_of_cameras(tmp_path):
    path, _ = write_pictures(tmp_path)
    assert image_orientation(path) == 1
    with Image.open(path) as im:
        exif = im.getexif()
        exif[0x0112] = 6
        im.save(path, exif=exif)
    assert image_orientation(path) == 6 and image_size(path) == (40, 30)
