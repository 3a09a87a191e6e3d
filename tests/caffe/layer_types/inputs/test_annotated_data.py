"""AnnotatedData: SSD's augmentation of images together with their objects."""
import cv2
import data_files
import numpy as np
import pytest
from google.protobuf import text_format
from layer_harness import build

import caffe
from caffe.core.errors import DataError, LayerError
from caffe.files import databases
from caffe.layer_types.inputs import annotations, augmentation
from caffe.proto import caffe_pb2 as pb

GREY = np.full((4, 6, 3), 100, np.uint8)


class Chosen:
    """A generator whose draws between 0 and 1 are given; integers are the lowest."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def random(self):
        return self.draws.pop(0)

    def uniform(self, low, high):
        return low + (high - low) * self.draws.pop(0)

    def integers(self, count, size=None):
        return 0 if size is None else np.zeros(size, int)


def message(kind, text):
    return text_format.Parse(text, kind())


# -- images


@pytest.mark.parametrize("text, size, resized", [
    ("height: 30 width: 40", (10, 10), (30, 40)),
    ("height: 30 width: 40 resize_mode: FIT_SMALL_SIZE", (10, 20), (30, 60)),
    ("height: 30 width: 40 resize_mode: FIT_SMALL_SIZE", (30, 20), (60, 40)),
    ("height: 30 width: 40 resize_mode: FIT_LARGE_SIZE_AND_PAD", (10, 20), (30, 40))])
def test_sizes_after_a_resize(text, size, resized):
    param = message(pb.ResizeParameter, text)
    assert augmentation.resized_shape(param, *size) == resized
    image = augmentation.resize(np.zeros((*size, 3), np.uint8), param, Chosen())
    assert image.shape == (*resized, 3)


def test_what_is_padded_lies_on_both_sides():
    param = message(pb.ResizeParameter, "height: 8 width: 8 resize_mode: FIT_LARGE_SIZE_AND_PAD "
                                        "pad_value: 1 pad_value: 2 pad_value: 3")
    image = augmentation.resize(GREY[:3], param, Chosen())      # 3 x 6 -> 4 x 8
    assert (image[:2] == [1, 2, 3]).all() and (image[6:] == [1, 2, 3]).all()
    assert (image[2:6] == 100).all()


def test_the_interpolation_is_one_of_those_given(rng):
    image = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    param = message(pb.ResizeParameter, "height: 5 width: 4 interp_mode: AREA interp_mode: NEAREST")
    area, nearest = (cv2.resize(image, (4, 5), interpolation=mode)
                     for mode in (cv2.INTER_AREA, cv2.INTER_NEAREST))
    seen = {augmentation.resize(image, param, rng).tobytes() for _ in range(20)}
    assert seen == {area.tobytes(), nearest.tobytes()}


def test_expand_puts_the_image_on_a_ground_of_the_mean():
    param = message(pb.ExpansionParameter, "prob: 0.5 max_expand_ratio: 3")
    means = np.float32([10.4, 20.6, 30])
    same, window = augmentation.expand(GREY, param, means, Chosen(0.6))
    assert same is GREY and window is None
    # drawn: yes; ratio 2; top 0.5 * 4 = 2, left 0.75 * 6 = 4.5, cut to 4
    image, window = augmentation.expand(GREY, param, means, Chosen(0.4, 0.5, 0.5, 0.75))
    assert image.shape == (8, 12, 3)
    assert (image[2:6, 4:10] == 100).all() and (image == [10, 21, 30]).all(2).sum() == 8 * 12 - 24
    np.testing.assert_allclose(window, [-4 / 6, -2 / 4, 8 / 6, 6 / 4])


def test_distortions_in_their_order():
    image = np.full((1, 1, 3), 0, np.uint8)
    image[...] = [30, 60, 200]
    # contrast first: (image + 40) * 1.5, limited to 255; the rest is not drawn
    param = message(pb.DistortionParameter, "brightness_prob: 1 brightness_delta: 40 "
                                            "contrast_prob: 1 contrast_lower: 1.5 "
                                            "contrast_upper: 1.5")
    early = augmentation.distort(image, param, Chosen(0.9, 0, 1, 0, 0, 0.5, 0.5, 0.5))
    assert early.tolist() == [[[105, 150, 255]]]
    # hue and saturation are OpenCV's HSV; contrast last
    param = message(pb.DistortionParameter, "hue_prob: 1 hue_delta: 18 saturation_prob: 1 "
                                            "saturation_lower: 0.5 saturation_upper: 0.5")
    late = augmentation.distort(image, param, Chosen(0.1, 0.5, 0, 0.5, 0, 1, 0.5, 0.5))
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 1] = np.rint(hsv[..., 1] * 0.5)
    hsv = cv2.cvtColor(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), cv2.COLOR_BGR2HSV)
    hsv[..., 0] += 18
    np.testing.assert_array_equal(late, cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


def test_the_channels_in_another_order(rng):
    param = message(pb.DistortionParameter, "random_order_prob: 1")
    image = np.uint8([[[1, 2, 3]]])
    seen = {tuple(augmentation.distort(image, param, rng)[0, 0].tolist()) for _ in range(60)}
    assert len(seen) == 6 and all(sorted(order) == [1, 2, 3] for order in seen)


def test_noise(rng):
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)

    def noised(text):
        return augmentation.add_noise(image, message(pb.NoiseParameter, text), rng)

    np.testing.assert_array_equal(noised("inverse: true"), 255 - image)
    np.testing.assert_array_equal(noised("posterize: true"), image // 64 * 64 + 32)
    grey = noised("decolorize: true")
    assert (grey[..., 0] == grey[..., 2]).all()
    salted = noised("saltpepper: true saltpepper_param { fraction: 0.1 value: 3 }")
    assert 40 < (salted == 3).all(2).sum() <= 60
    for text in ("gauss_blur: true", "hist_eq: true", "clahe: true", "jpeg: 30", "erode: true",
                 "convert_to_hsv: true"):
        changed = noised(text)
        assert changed.shape == image.shape and changed.dtype == np.uint8
        assert not np.array_equal(changed, image), text
    assert noised("convert_to_lab: true").dtype == np.float32


def test_a_crop_has_whole_pixels():
    image = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    np.testing.assert_array_equal(augmentation.crop(image, np.float32([0.2, 0.3, 0.9, 1.2])),
                                  image[1:3, 1:5])      # x 1.2 .. 5.4, y 1.2 .. 4 (clipped)
    assert augmentation.crop(image, np.float32([0.99, 0.99, 1, 1])).shape == (1, 1, 1)


# -- objects


def objects(*boxes):
    return np.float32([(7, i, *box, i % 2) for i, box in enumerate(boxes)])


def test_objects_seen_through_a_window():
    there = objects((0, 0, 0.5, 0.5), (0.4, 0.4, 1, 1), (0.8, 0.8, 0.9, 0.9))
    window = np.float32([0.25, 0.25, 0.75, 0.75])
    seen = annotations.seen_through(there, window, None)
    np.testing.assert_allclose(seen, [(7, 0, 0, 0, 0.5, 0.5, 0), (7, 1, 0.3, 0.3, 1, 1, 1)],
                               rtol=1e-5)
    centre = message(pb.EmitConstraint, "emit_type: CENTER")
    assert annotations.seen_through(there, window, centre)[:, 1].tolist() == [0, 1]
    assert annotations.seen_through(there, window + 0.09, centre)[:, 1].tolist() == [1]
    # of the first object a quarter is inside, of the second 0.35² / 0.6²
    overlap = message(pb.EmitConstraint, "emit_type: MIN_OVERLAP emit_overlap: 0.3")
    assert annotations.seen_through(there, window, overlap)[:, 1].tolist() == [1]


def test_objects_are_mirrored_with_the_image():
    np.testing.assert_allclose(annotations.mirrored(objects((0.1, 0.2, 0.4, 0.9)))[0],
                               [7, 0, 0.6, 0.2, 0.9, 0.9, 0], rtol=1e-6)


def test_objects_of_a_padded_image():
    param = message(pb.ResizeParameter, "height: 100 width: 200 "
                                        "resize_mode: FIT_LARGE_SIZE_AND_PAD")
    there = objects((0, 0, 1, 1), (0.5, 0.25, 1, 0.75))
    # an image of 100 x 100 becomes 100 wide, with 50 on each side
    np.testing.assert_allclose(annotations.resized(there, param, 50, 50)[:, 2:6],
                               [(0.25, 0, 0.75, 1), (0.5, 0.25, 0.75, 0.75)])
    # one of 400 x 100 (w x h) becomes 50 high, with 25 above and below
    np.testing.assert_allclose(annotations.resized(there, param, 10, 40)[:, 2:6],
                               [(0, 0.25, 1, 0.75), (0.5, 0.375, 1, 0.625)])
    warp = message(pb.ResizeParameter, "height: 100 width: 200")
    np.testing.assert_array_equal(annotations.resized(there, warp, 10, 40), there)


def test_extrapolated_objects():
    param = message(pb.ResizeParameter, "height: 60 width: 60 resize_mode: FIT_SMALL_SIZE "
                                        "height_scale: 30 width_scale: 40")
    # 20 x 40 (h x w) becomes 60 x 120; half of its width is cropped, 60 pixels
    moved = annotations.extrapolated(objects((0.1, 0.2, 0.5, 1)), param, 20, 40,
                                     np.float32([0.25, 0, 0.75, 1]))
    np.testing.assert_allclose(moved[0, 2:6], np.float32([0.1, 0.2, 0.5, 1]) * [1.5, 2, 1.5, 2])


@pytest.mark.parametrize("text, good", [
    ("", True), ("min_jaccard_overlap: 0.2", True), ("min_jaccard_overlap: 0.3", False),
    ("max_jaccard_overlap: 0.2", False), ("min_sample_coverage: 0.24", True),
    ("min_sample_coverage: 0.26", False), ("min_object_coverage: 0.9", True),
    ("max_object_coverage: 0.9", False),
    # the first kind that is given decides
    ("min_jaccard_overlap: 0.2 min_object_coverage: 2", True)])
def test_constraints_of_sampled_windows(text, good):
    """The object is a quarter of the window and lies inside: overlap 0.25, coverage 1 and 0.25."""
    window, boxes = np.float32([0, 0, 0.8, 0.8]), np.float32([[0.2, 0.2, 0.6, 0.6]])
    constraint = message(pb.SampleConstraint, text)
    assert annotations.is_good_window(window, boxes, constraint) == good
    assert annotations.is_good_window(window, boxes[:0], constraint) == (text == "")


def test_sampled_windows_have_the_wanted_sizes(rng):
    samplers = [message(pb.BatchSampler, text) for text in (
        "max_sample: 1 max_trials: 1", "max_trials: 9 use_original_image: false",
        "sampler { min_scale: 0.3 max_scale: 0.5 min_aspect_ratio: 0.5 max_aspect_ratio: 2 } "
        "max_sample: 40 max_trials: 50")]
    whole, *drawn = annotations.sample_windows(np.zeros((0, 4), np.float32), samplers, rng)
    np.testing.assert_allclose(whole, [0, 0, 1, 1])
    assert len(drawn) == 40
    for x1, y1, x2, y2 in drawn:
        assert 0 <= x1 < x2 <= 1 + 1e-6 and 0 <= y1 < y2 <= 1 + 1e-6
        assert 0.3 <= np.sqrt((x2 - x1) * (y2 - y1)) <= 0.5 + 1e-6
        assert 0.5 - 1e-6 <= (x2 - x1) / (y2 - y1) <= 2 + 1e-5


# -- the layer


def source(path, text="batch_size: 2", transform="", extra="", phase=pb.TEST, tops=2):
    caffe.set_random_seed(1)
    return build(f"type: 'AnnotatedData' data_param {{ source: '{path}' backend: LMDB {text} }} "
                 f"transform_param {{ {transform} }} annotated_data_param {{ {extra} }}",
                 tops=tops, phase=phase)


BOXES = [[(1, 0, 0.25, 0.5, 0.75, 1, False), (3, 2, 0, 0, 0.5, 0.5, True)], [],
         [(2, 0, 0.1, 0.1, 0.2, 0.2, False)]]


@pytest.fixture
def database(tmp_path):
    return data_files.write_annotated(tmp_path / "db", data_files.pictures(3), BOXES)


def test_objects_come_with_the_number_of_their_image(database):
    images = data_files.pictures(3)
    module = source(database, transform="mean_value: 1 scale: 2")
    assert module.top_shapes([]) == [(2, 3, 6, 8), (1, 1, 2, 8)]
    data, label = module()
    np.testing.assert_array_equal(data[1], (images[1].transpose(2, 0, 1) - 1.0) * 2)
    np.testing.assert_array_equal(label[0, 0], [(0, 1, 0, 0.25, 0.5, 0.75, 1, 0),
                                                (0, 3, 2, 0, 0, 0.5, 0.5, 1)])
    data, label = module()      # the third, and the first again
    assert label[0, 0, :, :2].tolist() == [[0, 2], [1, 1], [1, 3]]


def test_images_without_objects(database):
    module = source(database, "batch_size: 1")
    module()
    assert module()[1].tolist() == [[[[-1] * 8]]]


def test_mirroring_moves_the_objects(database):
    images = data_files.pictures(3)
    module = source(database, "batch_size: 1", "mirror: true")
    seen = set()
    for _ in range(60):
        data, label = (top.numpy() for top in module())
        for number, image in enumerate(images):
            for flip in (1, -1):
                if np.array_equal(data[0].transpose(1, 2, 0), image[:, ::flip]):
                    wanted = [(box[2], box[4]) if flip == 1 else (1 - box[4], 1 - box[2])
                              for box in BOXES[number]]
                    got = [(row[3], row[5]) for row in label[0, 0] if row[0] >= 0]
                    np.testing.assert_allclose(got, wanted or np.zeros((0,)), atol=1e-6)
                    seen.add((number, flip))
    assert len(seen) == 6


def test_the_pixels_of_an_object_stay_inside_its_box(tmp_path, rng):
    """Every augmentation at once: a white square on a dark image is where its box says."""
    images, boxes = [], []
    for _ in range(8):
        image = np.zeros((240, 320, 3), np.uint8)
        x, y = rng.integers(20, 160), rng.integers(20, 120)
        image[y:y + 80, x:x + 96] = 255
        images.append(image)
        boxes.append([(1, 0, x / 320, y / 240, (x + 96) / 320, (y + 80) / 240, False)])
    path = data_files.write_annotated(tmp_path / "squares", images, boxes, encode=".png")
    module = source(path, "batch_size: 4", """
        mirror: true mean_value: 20 emit_constraint { emit_type: CENTER }
        resize_param { height: 120 width: 100 interp_mode: LINEAR interp_mode: AREA }
        distort_param { brightness_prob: 0.5 brightness_delta: 20 contrast_prob: 0.5
                        contrast_lower: 0.9 contrast_upper: 1.1 hue_prob: 0.5 hue_delta: 18
                        saturation_prob: 0.5 saturation_lower: 0.5 saturation_upper: 1.5 }
        expand_param { prob: 0.5 max_expand_ratio: 2 }""", """
        batch_sampler { max_sample: 1 max_trials: 1 }
        batch_sampler { sampler { min_scale: 0.5 max_scale: 1 min_aspect_ratio: 0.5
                                  max_aspect_ratio: 2 }
                        sample_constraint { min_jaccard_overlap: 0.1 } max_sample: 1
                        max_trials: 50 }""", phase=pb.TRAIN)
    compared = 0
    for _ in range(10):
        data, label = (top.numpy() for top in module())
        assert data.shape == (4, 3, 120, 100)
        for image, *_, x1, y1, x2, y2, _ in label[0, 0]:
            rows, columns = np.nonzero(data[int(image)].mean(0) + 20 > 128)
            found = columns.min() / 100, rows.min() / 120, (columns.max() + 1) / 100, \
                (rows.max() + 1) / 120
            np.testing.assert_allclose([x1, y1, x2, y2], found, atol=0.02)
            compared += 1
    assert compared > 25


def test_one_of_several_sizes_for_each_batch(database):
    module = source(database, transform="resize_param { height: 6 width: 6 prob: 0.5 } "
                                        "resize_param { height: 9 width: 12 prob: 0.5 }")
    shapes = {tuple(module()[0].shape) for _ in range(20)}
    assert shapes == {(2, 3, 6, 6), (2, 3, 9, 12)}


def test_records_without_a_type_have_a_label(tmp_path):
    with databases.new_database(tmp_path / "db", "lmdb") as database:
        for i, image in enumerate(data_files.pictures(2)):
            record = data_files.annotated_datum(image, [], has_type=False)
            record.datum.label = 5 + i
            database.put(b"%d" % i, record.SerializeToString())
    assert source(tmp_path / "db")()[1].tolist() == [5, 6]


@pytest.mark.parametrize("text, transform, extra, problem", [
    ("", "", "", "batch_size > 0"),
    ("batch_size: 2", "resize_param { height: 3 width: 3 resize_mode: FIT_SMALL_SIZE }", "",
     "expected batch_size 1 with FIT_SMALL_SIZE"),
    ("batch_size: 2", "resize_param { width: 3 }", "", "height and width > 0, got 0 and 3"),
    ("batch_size: 2", "expand_param { max_expand_ratio: 1 }", "", "max_expand_ratio > 1, got 1"),
    ("batch_size: 2", "expand_param { max_expand_ratio: 2 } mean_file: 'x'", "",
     "expand_param needs mean_value|cannot be read"),
    ("batch_size: 2", "crop_size: 7", "", "crop_size 7 is larger than the image of 6 x 8"),
    ("batch_size: 2", "", "batch_sampler { sampler { min_scale: 2 } }", "min_scale <= max_scale"),
    ("batch_size: 2", "", "batch_sampler { sampler { min_aspect_ratio: 0 } }",
     "min_aspect_ratio <= max_aspect_ratio")])
def test_what_annotated_data_refuse(database, text, transform, extra, problem):
    with pytest.raises(LayerError, match=problem):
        source(database, text, transform, extra)


def test_what_is_only_found_when_images_are_read(tmp_path, database):
    grey = data_files.write_annotated(tmp_path / "grey", [GREY[:, :, :1]] * 2, [[], []])
    module = source(grey, "batch_size: 1", "distort_param { }")
    with pytest.raises(LayerError, match='record "00000000": distort_param needs a colour image'):
        module()
    bad = source(database, "batch_size: 1", "distort_param { contrast_prob: 1 contrast_lower: 2 }")
    with pytest.raises(LayerError, match="0 <= contrast_lower <= contrast_upper, got 2 and 0"):
        bad()
    plain = data_files.write_database(tmp_path / "plain", data_files.pictures(1))
    with pytest.raises(LayerError):
        source(plain)


def test_crops_of_two_sides(database):
    images = data_files.pictures(3)
    module = source(database, "batch_size: 1", "crop_h: 4 crop_w: 6")
    data, label = module()
    np.testing.assert_array_equal(data[0].numpy().transpose(1, 2, 0), images[0][1:5, 1:7])
    # x: 2 .. 6 pixels of 8 become 1 .. 5 of 6; y: 3 .. 6 of 6 become 2 .. 4 (cut) of 4
    np.testing.assert_allclose(label[0, 0, 0, 3:7], [1 / 6, 2 / 4, 5 / 6, 1], rtol=1e-6)


def test_a_resize_that_leaves_nothing():
    param = message(pb.ResizeParameter, "height: 4 width: 4 resize_mode: FIT_LARGE_SIZE_AND_PAD")
    with pytest.raises(DataError, match="100 x 1 pixels is too thin to be resized to 4 x 4"):
        augmentation.resize(np.zeros((1, 100, 3), np.uint8), param, Chosen())
