"""DataTransformer against Caffe's formula, pixel by pixel."""
import numpy as np
import pytest
from google.protobuf import text_format

import caffe
from caffe.core.errors import CaffeError
from caffe.files import weights
from caffe.layer_types.inputs.data_transformer import DataTransformer
from caffe.proto import caffe_pb2


def transformer(text, phase=caffe.TEST, seed=0):
    param = text_format.Parse(text, caffe_pb2.TransformationParameter())
    return DataTransformer(param, phase, np.random.default_rng(seed))


def apply(text, image, phase=caffe.TEST, seed=0):
    t = transformer(text, phase, seed)
    out = np.full(t.top_shape(image.shape), np.nan, np.float32)
    t.apply(image, out)
    return out


def slow(image, crop=0, corner=(0, 0), mean=None, scale=1.0, mirrored=False):
    """data_transformer.cpp: top[c][h][w'] = (data[c][top + h][left + w] - mean there) * scale."""
    channels, height, width = image.shape
    rows, columns = (crop, crop) if crop else (height, width)
    out = np.zeros((channels, rows, columns), np.float32)
    for c in range(channels):
        for h in range(rows):
            for w in range(columns):
                place = c, corner[0] + h, corner[1] + w
                value = np.float32(image[place]) - np.float32(0 if mean is None else mean[place])
                out[c, h, columns - 1 - w if mirrored else w] = value * np.float32(scale)
    return out


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (3, 7, 10), dtype=np.uint8)


@pytest.fixture
def mean_file(tmp_path, rng):
    mean = rng.uniform(0, 255, (1, 3, 7, 10)).astype(np.float32)
    weights.write_binaryproto(str(tmp_path / "mean.binaryproto"), mean)
    return tmp_path / "mean.binaryproto", mean[0]


def test_nothing_asked_for_is_a_copy_as_floats(image):
    np.testing.assert_array_equal(apply("", image), image.astype(np.float32))


def test_centre_crop_with_values_per_channel_and_scale(image):
    mean = np.broadcast_to(np.float32([104, 117, 123])[:, None, None], image.shape)
    wanted = slow(image, 4, (1, 3), mean, 0.5)      # (7 - 4) // 2, (10 - 4) // 2
    text = "crop_size: 4 mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.5"
    np.testing.assert_array_equal(apply(text, image), wanted)


def test_one_mean_value_serves_all_channels(image):
    np.testing.assert_array_equal(apply("mean_value: 7", image),
                                  slow(image, mean=np.full(image.shape, 7)))


def test_the_mean_image_is_cropped_like_the_image(image, mean_file):
    path, mean = mean_file
    np.testing.assert_array_equal(apply(f"mean_file: '{path}' crop_size: 5", image),
                                  slow(image, 5, (1, 2), mean))


def test_training_draws_every_corner_and_both_directions(image, mean_file):
    path, mean = mean_file
    t = transformer(f"mean_file: '{path}' crop_size: 5 mirror: true scale: 0.25", caffe.TRAIN)
    possible = {slow(image, 5, (top, left), mean, 0.25, mirrored).tobytes()
                for top in range(3) for left in range(6) for mirrored in (False, True)}
    assert len(possible) == 36
    seen, out = set(), np.empty((3, 5, 5), np.float32)
    for _ in range(600):
        t.apply(image, out)
        seen.add(out.tobytes())
    assert seen == possible     # one of 36 is missed with a probability below 2e-6


def test_testing_mirrors_too_but_does_not_move_the_crop(image):
    t, out = transformer("crop_size: 5 mirror: true"), np.empty((3, 5, 5), np.float32)
    seen = set()
    for _ in range(40):
        t.apply(image, out)
        seen.add(out.tobytes())
    assert seen == {slow(image, 5, (1, 2), mirrored=m).tobytes() for m in (False, True)}


def test_floats_keep_their_values(rng):
    image = rng.normal(size=(2, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(apply("scale: 2 mean_value: 1", image),
                                  slow(image, mean=np.ones(image.shape), scale=2))


@pytest.mark.parametrize("text, shape, words", [
    ("crop_size: 8", (3, 7, 10), "crop_size 8 is larger than the image of 7 x 10"),
    ("mean_value: 1 mean_value: 2", (3, 7, 10), "each of the 3 channels, got 2")])
def test_an_image_that_does_not_fit(text, shape, words):
    with pytest.raises(CaffeError, match=words):
        apply(text, np.zeros(shape, np.uint8))


def test_a_mean_of_another_shape(mean_file):
    with pytest.raises(CaffeError, match=r"mean\.binaryproto has shape \(3, 7, 10\), the image"):
        apply(f"mean_file: '{mean_file[0]}'", np.zeros((3, 7, 9), np.uint8))


def test_two_means(mean_file):
    with pytest.raises(CaffeError, match="mean_file or mean_value, got both"):
        transformer(f"mean_file: '{mean_file[0]}' mean_value: 1")


def test_a_mean_that_is_no_image(tmp_path):
    weights.write_binaryproto(str(tmp_path / "m"), np.zeros((4, 5), np.float32))
    with pytest.raises(CaffeError, match=r"expected a mean image of shape .*, got \(4, 5\)"):
        transformer(f"mean_file: '{tmp_path / 'm'}'")
