"""The base of data sets: roidbs made, merged, mirrored."""
import functools

import numpy as np
import pytest
import scipy.sparse
from listed_images import ListedImages, black_images

from faster_rcnn.datasets import factory
from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.datasets.own_classes import DatasetError
from faster_rcnn.evaluation import recall
from faster_rcnn.minibatches.roidb import prepare_roidb


class listed(ListedImages):
    """Users' way of making a data set with proposals; images are `widths` wide and 60 high."""

    def __init__(self, folder, widths, roidb=None):
        super().__init__(black_images(folder, [(width, 60) for width in widths]), roidb,
                         ("__background__", "cat", "dog"))

    def other_roidb(self):
        return [entry([[0, 0, 1, 1]], [2])] * self.num_images


def entry(boxes, classes, dtype=np.uint16):
    boxes = np.array(boxes, dtype).reshape(-1, 4)
    overlaps = np.zeros((len(boxes), 3), np.float32)
    overlaps[np.arange(len(boxes)), classes] = 1
    sides = boxes[:, 2:].astype(np.float32) - boxes[:, :2] + 1
    return {"boxes": boxes, "gt_classes": np.array(classes, np.int32), "flipped": False,
            "gt_overlaps": scipy.sparse.csr_matrix(overlaps), "seg_areas": sides.prod(axis=1)}


def test_mirrored_entries(tmp_path):
    data_set = listed(tmp_path, [50], [entry([[0, 3, 9, 20], [49, 0, 49, 5]], [1, 2])])
    data_set.append_flipped_images()
    first, second = data_set.roidb
    assert first["boxes"].tolist() == [[0, 3, 9, 20], [49, 0, 49, 5]] and not first["flipped"]
    assert second["boxes"].tolist() == [[40, 3, 49, 20], [0, 0, 0, 5]] and second["flipped"]
    assert second["boxes"].dtype == np.uint16
    assert sorted(second) == ["boxes", "flipped", "gt_classes", "gt_overlaps"]
    assert data_set.num_images == 2 and data_set.image_index == data_set.image_index[:1] * 2


@pytest.mark.parametrize("box", [[50, 0, 60, 5], [65500, 0, 65535, 5], [9, 5, 8, 9]])
def test_boxes_without_a_part_in_the_image_are_refused(tmp_path, box):
    data_set = listed(tmp_path, [50], [entry([[1, 1, 5, 5], box], [1, 1])])
    with pytest.raises(DatasetError, match=r"0\.png: box 2 .* does not lie in the image"):
        data_set.append_flipped_images()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_boxes_beyond_the_border_are_clamped_with_a_warning(tmp_path, dtype, caplog):
    # VOC's xmin of 0, less 1, is 65535 in the original's uint16
    below = [65535, 65535, 9, 5] if dtype == np.uint16 else [-1, -1, 9, 5]
    boxes = entry([[1, 1, 5, 5], [0, 0, 50, 60], below, [45, 2, 52, 9]], [1, 1, 2, 1], dtype)
    data_set = listed(tmp_path, [50], [boxes])
    data_set.clamp_boxes()
    data_set.append_flipped_images()
    first, second = data_set.roidb
    assert first["boxes"].tolist() == [[1, 1, 5, 5], [0, 0, 49, 59], [0, 0, 9, 5], [45, 2, 49, 9]]
    assert first["boxes"].dtype == second["boxes"].dtype == dtype
    assert second["boxes"].tolist()[2:] == [[40, 0, 49, 5], [0, 2, 4, 9]]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4 and "3 problems in 1 files" in lines[3]
    assert lines[0].endswith("beyond the image (50 x 60); clamped to [0, 0, 49, 59]") or \
        lines[0].endswith("clamped to [0.0, 0.0, 49.0, 59.0]")


def test_mirroring_clamps_along_its_axis_and_training_along_both(tmp_path, caplog):
    data_set = listed(tmp_path, [50], [entry([[0, 0, 50, 60], [1, 1, 5, 5]], [1, 2])])
    data_set.append_flipped_images()
    assert [e["boxes"][0].tolist() for e in data_set.roidb] == [[0, 0, 49, 60]] * 2
    prepare_roidb(data_set)
    assert [e["boxes"][0].tolist() for e in data_set.roidb] == [[0, 0, 49, 59]] * 2
    assert caplog.text.count("box 1 is") == 2       # the mirrored entry is not told again
    assert [e["boxes"][1].tolist() for e in data_set.roidb] == [[1, 1, 5, 5], [44, 1, 48, 5]]


def test_proposals_are_not_clamped(tmp_path):
    boxes = entry([[0, 0, 50, 5]], [1], np.float32)
    boxes["gt_classes"][:] = 0
    data_set = listed(tmp_path, [50], [boxes])
    data_set.clamp_boxes()
    assert data_set.roidb[0]["boxes"].tolist() == [[0, 0, 50, 5]]


def test_an_error_in_a_users_class_has_file_and_line(tmp_path, monkeypatch):
    data_set = listed(tmp_path, [50])

    def broken_roidb():
        return [int("no number")]

    data_set.roidb_handler = broken_roidb
    line = broken_roidb.__code__.co_firstlineno + 1
    with pytest.raises(DatasetError, match=rf"test_imdb\.py:{line}: ValueError: invalid literal "
                       r".* \(in broken_roidb, of data set listed\)") as caught:
        data_set.roidb  # noqa: B018
    assert isinstance(caught.value.__cause__, ValueError)
    monkeypatch.setitem(vars(factory)["__sets"], "broken", lambda: {}["classes"])
    with pytest.raises(DatasetError, match=r"test_imdb\.py:\d+: KeyError: 'classes'"):
        factory.get_imdb("broken")


def test_an_error_of_ours_stays_what_it_is(tmp_path):
    data_set = listed(tmp_path, [50])
    data_set.roidb_handler = lambda: None
    assert data_set.roidb is None
    data_set.roidb_handler = functools.partial(int, "no number")     # raised outside of any file
    with pytest.raises(ValueError, match="invalid literal") as caught:
        data_set.roidb  # noqa: B018
    assert not isinstance(caught.value, DatasetError)


def test_merged_entries_leave_the_parts_alone():
    first, second = [entry([[0, 0, 9, 9]], [1])], [entry([[1, 1, 5, 5]], [2], np.float32)]
    merged, = imdb.merge_roidbs(first, second)
    assert merged["boxes"].tolist() == [[0, 0, 9, 9], [1, 1, 5, 5]]
    assert merged["boxes"].dtype == np.float32
    assert merged["gt_overlaps"].toarray().tolist() == [[0, 1, 0], [0, 0, 1]]
    assert len(first[0]["boxes"]) == 1
    with pytest.raises(ValueError, match="1 and 2 images"):
        imdb.merge_roidbs(first, second * 2)


def test_proposals_get_the_class_of_the_best_annotation(tmp_path):
    gt = [entry([[0, 0, 9, 9], [20, 0, 29, 9]], [1, 2])]
    data_set = listed(tmp_path, [50], gt)
    # equal to the cat, half of the dog, nowhere
    boxes = np.array([[0, 0, 9, 9], [20, 0, 24, 9], [40, 40, 45, 45]], np.float32)
    made, = data_set.create_roidb_from_box_list([boxes], gt)
    assert made["gt_overlaps"].toarray().tolist() == [[0, 1, 0], [0, 0, .5], [0, 0, 0]]
    assert made["gt_classes"].tolist() == [0, 0, 0] and made["boxes"] is boxes
    nothing, = data_set.create_roidb_from_box_list([boxes[:0]], gt)
    assert nothing["gt_overlaps"].shape == (0, 3)
    with pytest.raises(ValueError, match="proposals for 2 images"):
        data_set.create_roidb_from_box_list([boxes] * 2, gt)


def test_proposal_methods(tmp_path):
    data_set = listed(tmp_path, [50], [entry([], [])])
    assert len(data_set.roidb[0]["boxes"]) == 0
    data_set.set_proposal_method("other")
    assert data_set.roidb[0]["gt_classes"].tolist() == [2]
    with pytest.raises(ValueError, match='no proposal method "othr" .did you mean "other"'):
        data_set.set_proposal_method("othr")


def test_roidb_of_another_length_is_refused(tmp_path):
    data_set = listed(tmp_path, [50, 50], [entry([], [])])
    with pytest.raises(ValueError, match="1 entries for 2 images"):
        assert data_set.roidb


def test_what_a_subclass_owes_is_said():
    bare = imdb("bare")
    for owed in (lambda: bare.roidb, lambda: bare.image_path_at(0),
                 lambda: bare.evaluate_detections([], ".")):
        with pytest.raises(NotImplementedError, match="imdb must"):
            owed()


# ------------------------------------------------------------------------------------------- recall

def test_recall_by_hand(tmp_path):
    data_set = listed(tmp_path, [99, 99], [entry([[0, 0, 9, 9], [20, 0, 29, 9]], [1, 1]),
                                           entry([[0, 0, 9, 9]], [2])])
    # overlaps 1 and 0.6 in the first image, no candidate in the second
    candidates = [np.array([[20, 0, 25, 9], [0, 0, 9, 9]], float), np.zeros((0, 4))]
    got = data_set.evaluate_recall(candidates, thresholds=[.5, .6, .7])
    assert got["gt_overlaps"].tolist() == [.6, 1]
    assert got["recalls"].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert got["ar"] == pytest.approx(5 / 9)
    assert data_set.evaluate_recall(candidates, [.5], limit=1)["recalls"] == pytest.approx([1 / 3])
    assert np.isnan(data_set.evaluate_recall(candidates, [.5], area="large")["ar"])
    with pytest.raises(ValueError, match='area range "tiny"'):
        data_set.evaluate_recall(candidates, area="tiny")


def test_a_candidate_serves_one_object():
    objects = np.array([[0, 0, 9, 9], [0, 0, 9, 8]], float)
    assert recall.paired_overlaps(objects[:1], objects).tolist() == [1, 0]
    assert recall.paired_overlaps(np.zeros((0, 4)), objects).tolist() == [0, 0]
