"""What became of detections and objects: every kind of error, by hand."""
import numpy as np
import pytest
from judged import annotated, boxes_of, judged

from faster_rcnn.evaluation.judged_images import Kind, judged_images

CAT, DOG = 1, 2
OBJECT = (0, 0, 9, 9)           # 100 pixels


@pytest.mark.parametrize("number, box, kind", [
    (CAT, (0, 0, 9, 9), Kind.RIGHT),
    (CAT, (0, 0, 9, 5), Kind.RIGHT),            # 60 of 100
    (CAT, (0, 0, 9, 4), Kind.LOCALISATION),     # exactly half
    (CAT, (0, 0, 9, 0), Kind.LOCALISATION),     # exactly a tenth
    (CAT, (0, 0, 8, 0), Kind.BACKGROUND),       # 9 of 100
    (CAT, (50, 50, 59, 59), Kind.BACKGROUND),
    (DOG, (0, 0, 9, 9), Kind.WRONG_CLASS),
    (DOG, (0, 0, 9, 4), Kind.BOTH),
    (DOG, (0, 0, 8, 0), Kind.BACKGROUND)])
def test_kinds_of_one_detection(number, box, kind):
    image = judged([(number, box, 0.9)], [(CAT, OBJECT)])
    assert Kind(image.kinds[0]) is kind
    assert image.objects[0] == (-1 if kind is Kind.BACKGROUND else 0)
    assert image.found[0] == (pytest.approx(0.9) if kind is Kind.RIGHT else -np.inf)


def test_the_better_of_two_detections_is_right_and_the_other_a_duplicate():
    image = judged([(CAT, OBJECT, 0.3), (CAT, (0, 0, 9, 8), 0.8)], [(CAT, OBJECT)])
    np.testing.assert_allclose(image.dets[:, 4], [0.8, 0.3])
    assert [Kind(kind) for kind in image.kinds] == [Kind.RIGHT, Kind.DUPLICATE]
    assert image.found[0] == pytest.approx(0.8)


def test_a_class_confused_counts_more_than_a_place_missed():
    image = judged([(CAT, (20, 0, 29, 9), 0.9)], [(CAT, (22, 7, 31, 16)), (DOG, (20, 0, 29, 9))])
    assert Kind(image.kinds[0]) is Kind.WRONG_CLASS and image.objects[0] == 1


def test_an_ignored_object_is_neither_found_nor_missed_nor_an_error():
    dets = [(CAT, OBJECT, 0.9), (CAT, OBJECT, 0.8), (DOG, OBJECT, 0.7), (CAT, (0, 0, 9, 4), 0.6)]
    image = judged(dets, [(CAT, OBJECT)], ignored=[0])
    assert [Kind(kind) for kind in image.kinds] == [Kind.IGNORED, Kind.IGNORED, Kind.BACKGROUND,
                                                    Kind.BACKGROUND]
    assert not image.missed(0.5).any()


def test_what_is_missed_and_false_depends_on_the_score():
    image = judged([(CAT, OBJECT, 0.4), (DOG, (50, 50, 60, 60), 0.7)], [(CAT, OBJECT)])
    assert image.missed(0.5).tolist() == [True] and image.missed(0.4).tolist() == [False]
    assert image.false(0.5).tolist() == [True, False]
    assert not image.false(0.8).any()
    assert image.badness(0.5) == pytest.approx(1.7) and image.badness(0.3) == pytest.approx(0.7)


def test_images_without_a_usable_annotation_are_left_out_and_empty_ones_are_not():
    found = judged_images(boxes_of([[], [(CAT, OBJECT, 0.9)], []], 3),
                          [None, annotated([]), annotated([(DOG, OBJECT)])])
    assert [image.index for image in found] == [1, 2]
    assert Kind(found[0].kinds[0]) is Kind.BACKGROUND
    assert found[1].missed(0.5).tolist() == [True] and found[1].dets.shape == (0, 5)


def test_lists_without_detections_are_taken():
    found = judged_images([[], [[]], [[]]], [annotated([(CAT, OBJECT)])])
    assert found[0].missed(0.1).all()
