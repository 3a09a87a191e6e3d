"""WindowData: window files, where windows go, and what is cut out; numbers by hand."""
import cv2
import data_files
import numpy as np
import pytest
from net_texts import layer, net

import caffe
from caffe.core.errors import DataError
from caffe.files import weights, window_files
from caffe.layer_types.inputs.window_data import place

FG, BG = (7, 0.8, 1, 1, 4, 4), (7, 0.2, 2, 0, 7, 5)


def window_layer(source, batch_size, options="", transform="crop_size: 6"):
    return layer("w", "WindowData", "", "data label",
                 f"window_data_param {{ source: '{source}' batch_size: {batch_size} {options} }} "
                 f"transform_param {{ {transform} }}")


@pytest.fixture
def image():
    return data_files.pictures(1)[0]        # 6 x 8


def windows_of(folder, image, *rows):
    return data_files.write_windows(folder, [image], [rows])


# --------------------------------------------------------------------------------- where windows go

def test_without_context_the_window_fills_the_crop():
    assert place((2, 1, 5, 9), (20, 20), 6, 0, False, False) == ((2, 1, 5, 9), (6, 6), (0, 0))


def test_context_inside_the_image():
    """10 x 10 pixels at 10..19 and 2 of 20 pixels of context: scale 20 / 16 about the centre 15:
    15 -+ 6.25 is 8.75 and 21.25, rounded 9 and 21.
    """
    assert place((10, 10, 19, 19), (40, 40), 20, 2, False, False) == \
        ((9, 9, 21, 21), (20, 20), (0, 0))


def test_context_outside_the_image_stays_empty():
    """The window 0..9, enlarged to -1..11 in both directions: 13 pixels onto 20, of which 1 pixel
    (1.54, rounded 2) lies left of and above the image; 12 pixels make 18.46, rounded 18.
    """
    assert place((0, 0, 9, 9), (40, 40), 20, 2, False, False) == ((0, 0, 11, 11), (18, 18), (2, 2))


def test_mirroring_mirrors_the_empty_part():
    """30..39 becomes 29..41, of which 2 pixels, 3.08 of the crop, lie right of the image."""
    assert place((0, 0, 9, 9), (40, 40), 20, 2, False, True) == ((0, 0, 11, 11), (18, 18), (2, 0))
    assert place((30, 30, 39, 39), (40, 40), 20, 2, False, True).corner == (0, 3)


def test_square_windows_are_enlarged_to_the_longer_side():
    """4 wide and 9 high, centre (12, 14.5): half the longer side is 4.5, so x from 7.5 to 16.5;
    halves are rounded away from zero: 8 to 17. y: 10 to 19.
    """
    assert place((10, 10, 13, 18), (40, 40), 10, 0, True, False) == \
        ((8, 10, 17, 19), (10, 10), (0, 0))


def test_rounding_never_leaves_the_crop():
    rng = np.random.default_rng(0)
    for _ in range(500):
        (x1, x2), (y1, y2) = np.sort(rng.integers(0, 40, 2)), np.sort(rng.integers(0, 30, 2))
        placed = place((x1, y1, x2, y2), (30, 40), 9, int(rng.integers(4)), bool(rng.integers(2)),
                       bool(rng.integers(2)))
        assert placed.corner[0] + placed.size[0] <= 9 and placed.corner[1] + placed.size[1] <= 9
        assert 0 <= placed.box[0] <= placed.box[2] < 40 and 0 <= placed.box[1] <= placed.box[3] < 30


# --------------------------------------------------------------------------------- what is cut out

def test_background_first_then_foreground(tmp_path, image):
    source = windows_of(tmp_path, image, FG, BG, (3, 0.6, 0, 0, 7, 5))
    n = net(window_layer(source, 8, "fg_fraction: 0.3 fg_threshold: 0.7 bg_threshold: 0.5"))
    assert n.blobs["data"].shape == (8, 3, 6, 6)
    n.forward()
    assert n.blobs["label"].data.tolist() == [0] * 6 + [7] * 2      # 0.3 of 8 is 2.4
    for i, (x1, y1, x2, y2) in ((0, BG[2:]), (7, FG[2:])):
        wanted = cv2.resize(image[y1:y2 + 1, x1:x2 + 1], (6, 6)).transpose(2, 0, 1)
        np.testing.assert_array_equal(n.blobs["data"].data[i], wanted)


def test_both_directions_mean_and_scale(tmp_path, image):
    source = windows_of(tmp_path, image, FG)
    n = net(window_layer(source, 40, "fg_fraction: 1 cache_images: true",
                         "crop_size: 6 mirror: true mean_value: 50 scale: 0.5"))
    n.forward()
    plain = (cv2.resize(image[1:5, 1:5], (6, 6)).transpose(2, 0, 1).astype(np.float32) - 50) / 2
    possible = {plain.tobytes(), plain[:, :, ::-1].tobytes()}
    assert {window.tobytes() for window in n.blobs["data"].data} == possible


def test_the_own_scale_counts_before_the_common_one(tmp_path, image):
    source = windows_of(tmp_path, image, (1, 1, 0, 0, 5, 5))
    n = net(window_layer(source, 1, "fg_fraction: 1 scale: 2", "crop_size: 6 scale: 0.5"))
    n.forward()
    np.testing.assert_array_equal(n.blobs["data"].data[0], 2.0 * image[:, :6].transpose(2, 0, 1))


def test_the_mean_image_is_cropped_at_its_centre_and_empty_stays_zero(tmp_path):
    image = np.full((40, 40, 3), 200, np.uint8)
    mean = np.random.default_rng(0).uniform(0, 200, (1, 3, 24, 24)).astype(np.float32)
    weights.write_binaryproto(str(tmp_path / "mean"), mean)
    source = windows_of(tmp_path, image, (1, 1, 0, 0, 9, 9))
    n = net(window_layer(source, 1, "fg_fraction: 1 context_pad: 2",
                         f"crop_size: 20 mean_file: '{tmp_path / 'mean'}'"))
    n.forward()
    wanted = np.zeros((3, 20, 20), np.float32)
    wanted[:, 2:, 2:] = 200 - mean[0, :, 4:22, 4:22]    # (24 - 20) / 2 = 2, behind 2 empty pixels
    np.testing.assert_array_equal(n.blobs["data"].data[0], wanted)


def test_the_seed_decides(tmp_path, image):
    source = windows_of(tmp_path, image, *([FG] * 3), *((1, 0.1, x, 0, 7, 5) for x in range(6)))

    def draw(seed):
        caffe.set_random_seed(seed)
        return net(window_layer(source, 20)).forward()["data"].copy()

    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


# ------------------------------------------------------------------------------------ what is wrong

@pytest.mark.parametrize("rows, options, transform, words", [
    ([FG], "", "crop_size: 6", "no window has an overlap < 0.5, but a batch needs 3"),
    ([BG], "", "crop_size: 6", "no window has an overlap >= 0.5, but a batch needs 1"),
    ([BG, (0, 0.9, 1, 1, 2, 2)], "", "crop_size: 6", "expected a class above 0"),
    ([FG, BG], "", "", "expected transform_param { crop_size } > 0"),
    ([FG, BG], 'crop_mode: "round"', "crop_size: 6", 'crop_mode "warp" or "square", got "round"'),
    ([FG, BG], "context_pad: 3", "crop_size: 6", "below half the crop_size 6, got 3"),
    ([FG, BG], "", "crop_size: 6 mean_value: 1 mean_value: 2", "each of the 3 channels, got 2")])
def test_layers_that_cannot_be(tmp_path, image, rows, options, transform, words):
    with pytest.raises(caffe.CaffeError, match=f'layer "w" .WindowData.: .*{words}'):
        net(window_layer(windows_of(tmp_path, image, *rows), 4, options, transform))


def test_a_window_outside_of_its_image(tmp_path, image):
    n = net(window_layer(windows_of(tmp_path, image, (1, 1, 2, 2, 8, 5)), 1, "fg_fraction: 1"))
    with pytest.raises(caffe.CaffeError, match="windows.txt: the window 2, 2, 8, 5 does not lie in "
                                               "image .*0.png of 8 x 6 pixels"):
        n.forward()


@pytest.mark.parametrize("text, words", [
    ("", "w.txt: the window file is empty"),
    ("image.png\n", "w.txt:1: expected .# number."),
    ("# 0\na.png\n3\n10\nwide\n", "w.txt:5: expected width, got .wide."),
    ("# 0\na.png\n2\n10\n10\n", "w.txt:5: expected 1 or 3 channels, got 2"),
    ("# 0\na.png\n3\n", "w.txt:3: the file ends where height is expected"),
    ("# 0\na.png\n3\n9\n9\n2\n1 1 0 0 3 3\n", "w.txt:6: expected 2 windows, .* after 1"),
    ("# 0\na.png\n3\n9\n9\n1\n\n1 0 0 3 3\n", "w.txt:8: expected .class overlap x1 y1 x2 y2."),
    ("# 0\na.png\n3\n9\n9\n1\n1 1 0 0 3 3 3\n", "w.txt:7: expected .class overlap")])
def test_window_files_that_cannot_be_read(tmp_path, text, words):
    (tmp_path / "w.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        window_files.read_window_file(tmp_path / "w.txt")


def test_window_files_with_images_without_windows(tmp_path):
    images = data_files.pictures(3)
    path = data_files.write_windows(tmp_path, images, [[FG, BG], [], [FG]])
    windows = window_files.read_window_file(path)
    assert windows.images.tolist() == [0, 0, 2] and len(windows.paths) == 3
    assert windows.boxes.tolist() == [[1, 1, 4, 4], [2, 0, 7, 5], [1, 1, 4, 4]]
