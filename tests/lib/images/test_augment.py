"""Random changes of training images, and the minibatches made with them."""
import cv2
import numpy as np
import pytest

from faster_rcnn.images import augment
from faster_rcnn.images.augment import AugmentOptions
from faster_rcnn.images.reading import read_image
from faster_rcnn.minibatches.minibatch import get_minibatch
from faster_rcnn.minibatches.roidb import prepare_roidb
from faster_rcnn.settings.config import cfg_override

RPN = {"HAS_RPN": True, "SCALES": [30], "MAX_SIZE": 200}


@pytest.fixture
def rng():
    return np.random.RandomState(1)


@pytest.fixture
def entry(tmp_path):
    """An image 60 x 40, black but for two filled boxes, annotated; the second one is a crowd."""
    im = np.zeros((40, 60, 3), np.uint8)
    im[4:14, 6:26] = (0, 0, 255)
    im[20:36, 40:50] = (255, 0, 0)
    cv2.imwrite(str(tmp_path / "im.png"), im)
    boxes = np.array([[6, 4, 25, 13], [40, 20, 49, 35]], np.uint16)
    return {"image": str(tmp_path / "im.png"), "flipped": False, "boxes": boxes,
            "gt_classes": np.array([1, 2], np.int32), "max_overlaps": np.array([1, -1.])}


def filled(im):
    """The box around what is not black, by channel: blue, red."""
    found = []
    for channel in (0, 2):
        y, x = np.where(im[..., channel] > 0)
        found.append([x.min(), y.min(), x.max(), y.max()] if len(x) else None)
    return found


# ------------------------------------------------------------------------------------------ colours

def test_no_amount_changes_nothing(rng):
    im = rng.randint(0, 256, (9, 8, 3)).astype(np.uint8)
    assert np.abs(augment.jittered_colors(rng, im, (0, 0, 0, 0)) - im).max() < 1e-3


@pytest.mark.parametrize("amounts", [(.5, 0, 0, 0), (0, .5, 0, 0), (0, 0, .5, 0), (0, 0, 0, .5)])
def test_each_amount_changes_what_it_says(rng, amounts):
    im = rng.randint(60, 130, (30, 30, 3)).astype(np.uint8)
    made = augment.jittered_colors(rng, im, amounts)
    grey, was = (cv2.cvtColor(a.astype(np.float32), cv2.COLOR_BGR2GRAY) for a in (made, im))
    spread, was_spread = (np.ptp(a.astype(float), axis=2) for a in (made, im))
    value, was_value = made.max(axis=2), im.max(axis=2).astype(float)
    assert np.abs(made - im).max() > 1
    if amounts[0]:
        factors = made / im
        assert factors.std() < 1e-5 and .5 <= factors.mean() <= 1.5
    if amounts[1]:
        assert grey.mean() == pytest.approx(was.mean(), abs=.01)
        assert .5 <= grey.std() / was.std() <= 1.5
    if amounts[2]:
        assert np.abs(grey - was).max() < .01 and .5 <= spread.mean() / was_spread.mean() <= 1.5
    if amounts[3]:
        assert np.abs(value - was_value).max() < .1 and np.abs(spread - was_spread).max() < .1


def test_half_a_turn_makes_red_cyan():
    class Most:
        def uniform(self, low, high, size=None):
            return high if size is None else np.zeros(size)
    red = np.full((2, 2, 3), (50, 50, 200), np.uint8)
    made = augment.jittered_colors(Most(), red, (0, 0, 0, .5))
    assert made[0, 0].tolist() == pytest.approx([200, 200, 50], abs=.1)


# -------------------------------------------------------------------------------------------- crops

def test_windows_keep_their_share_and_a_centre(rng):
    boxes = np.array([[6, 4, 25, 13]])
    shares = []
    for _ in range(300):
        window = augment.crop_window(rng, (40, 60, 3), boxes, (1.0, 0.3))
        x1, y1, x2, y2 = window
        assert 0 <= x1 <= x2 < 60 and 0 <= y1 <= y2 < 40
        shares.append((x2 - x1 + 1) * (y2 - y1 + 1) / 2400)
        assert augment.centres_inside(boxes, window).all()
    assert min(shares) >= 0.3 and min(shares) < 0.4 and max(shares) > 0.9


def test_probability_of_a_crop(rng):
    def share(probability):
        whole = (0, 0, 59, 39)
        return np.mean([augment.crop_window(rng, (40, 60, 3), np.zeros((0, 4)),
                                            (probability, .2)) != whole for _ in range(300)])
    assert share(0.0) == 0 and .2 < share(0.3) < .4 and share(1.0) > .95


def test_cropped_boxes_by_hand():
    boxes = np.array([[0, 0, 9, 9], [8, 8, 11, 11], [20, 20, 29, 29]], np.uint16)
    window = (5, 5, 24, 24)
    # centres 5, 10 and 25: the window covers [5, 25)
    assert augment.centres_inside(boxes, window).tolist() == [True, True, False]
    cut = augment.cropped_boxes(boxes[:2], window)
    assert cut.tolist() == [[0, 0, 4, 4], [3, 3, 6, 6]] and cut.dtype == np.uint16


@pytest.mark.parametrize("options", [
    {"scale_jitter": (1.2, 0.8)}, {"scale_jitter": (0, 1)}, {"scale_jitter": (1,)},
    {"color_jitter": (0, 0, 0)}, {"color_jitter": (0, 0, 0, .6)}, {"color_jitter": (-1, 0, 0, 0)},
    {"random_crop": (2, .5)}, {"random_crop": (.5, 0)}])
def test_senseless_options_are_refused(options):
    name, = options
    with pytest.raises(ValueError, match=f"TRAIN.{name.upper()} must be"):
        AugmentOptions(**options)


# -------------------------------------------------------------------------------------- minibatches

def test_boxes_follow_a_cropped_image(entry):
    seen = set()
    with cfg_override(TRAIN={**RPN, "RANDOM_CROP": [1.0, 0.2]}, PIXEL_MEANS=[0, 0, 0]):
        for seed in range(40):
            blobs = get_minibatch([entry], 3, np.random.RandomState(seed))
            im, scale = blobs["data"][0].transpose(1, 2, 0), blobs["im_info"][0, 2]
            small = cv2.resize(im, None, fx=1 / scale, fy=1 / scale,
                               interpolation=cv2.INTER_NEAREST)
            blue, red = filled(small > 128)
            for *box, number in blobs["gt_boxes"]:
                assert np.abs(np.array(box) / scale - (red if number == 1 else blue)).max() < 1.5
            seen.add((len(blobs["gt_boxes"]), blobs["data"].shape))
            assert blobs["data"].shape[2:] == tuple(blobs["im_info"][0, :2])
    assert {count for count, _ in seen} == {1, 2} and len(seen) > 10


def test_the_seed_decides_alone(entry):
    options = {"RANDOM_CROP": [.5, .5], "SCALE_JITTER": [.5, 2], "COLOR_JITTER": [.2, .2, .2, .1]}
    with cfg_override(TRAIN={**RPN, **options}):
        first, again, other = (get_minibatch([entry], 3, np.random.RandomState(seed))
                               for seed in (5, 5, 6))
    assert all((first[name] == again[name]).all() for name in first)
    assert first["data"].shape != other["data"].shape


def test_scale_jitter_in_both_modes(entry):
    targets = np.zeros((2, 5), np.float32)
    rois = {**entry, "max_classes": np.array([1, 2]), "bbox_targets": targets,
            "max_overlaps": np.array([1, .2])}
    for mode in ({}, {"HAS_RPN": False, "BATCH_SIZE": 2}):
        with cfg_override(TRAIN={**RPN, "SCALE_JITTER": [0.5, 2.0], **mode}):
            heights = [get_minibatch([rois], 3)["data"].shape[2] for _ in range(60)]
        assert min(heights) >= 15 and max(heights) <= 60 and max(heights) > 2 * min(heights)


def test_crops_of_stored_proposals_are_refused(entry):
    with cfg_override(TRAIN={**RPN, "HAS_RPN": False, "RANDOM_CROP": [.5, .5]}):
        with pytest.raises(ValueError, match=r"TRAIN\.RANDOM_CROP is for nets with an RPN"):
            get_minibatch([entry], 3)


def test_crowds_are_objects_of_an_rpn_only_when_wanted(entry):
    for wanted, classes in ((True, [1, 2]), (False, [1])):
        with cfg_override(TRAIN={**RPN, "USE_ALL_GT": wanted}):
            assert get_minibatch([entry], 3)["gt_boxes"][:, 4].tolist() == classes


# --------------------------------------------------------------------------------------- positions

def test_every_position_of_a_square(entry, tmp_path):
    from faster_rcnn.datasets.imdb import imdb
    data_set = imdb("one")
    data_set._image_index = [entry["image"]]
    data_set._classes = ("__background__", "red", "blue")
    data_set.image_path_at = lambda i: data_set._image_index[i]
    import scipy.sparse
    overlaps = scipy.sparse.csr_matrix(np.eye(3, dtype=np.float32)[1:])
    data_set.roidb_handler = lambda: [{**entry, "gt_overlaps": overlaps}]
    data_set.append_flipped_images()
    data_set.append_vflipped_images()
    data_set.append_transposed_images()
    prepare_roidb(data_set)
    assert len(data_set.roidb) == data_set.num_images == 8
    seen = set()
    for place in data_set.roidb:
        im = augment.turned_image(read_image(place["image"]), place)
        assert im.shape[:2] == (place["height"], place["width"])
        blue, red = filled(im)
        assert place["boxes"].tolist() == [red, blue] and place["boxes"].dtype == np.uint16
        seen.add(im.tobytes() + bytes(im.shape[:1]))
        assert ("transposed" in augment.turned_words(place)) == (im.shape[0] == 60)
    assert len(seen) == 8
