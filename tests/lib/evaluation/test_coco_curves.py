"""COCO's curves of any data set: by hand."""
import numpy as np
import pytest
from judged import judged

from faster_rcnn.evaluation.coco_curves import coco_curves

CAT, DOG = 1, 2


def test_one_object_found_with_an_overlap_of_0_8_counts_up_to_it():
    image = judged([(CAT, (0, 0, 79, 99), 0.9)], [(CAT, (0, 0, 99, 99))])
    curves = coco_curves([image], 3)
    assert curves.overlaps == pytest.approx(np.arange(0.5, 0.96, 0.05))
    aps = [curves.ap(0, overlap) for overlap in (0.5, 0.8, 0.85)]
    assert aps == pytest.approx([1, 1, 0])
    assert curves.ap(0) == pytest.approx(0.7)           # 0.5, 0.55 .. 0.8 of ten
    assert np.isnan(curves.ap(1)) and curves.ap() == pytest.approx(0.7)


def test_sizes_are_areas_of_boxes():
    small, medium, large = (0, 0, 9, 9), (100, 0, 149, 49), (200, 0, 399, 199)
    image = judged([(CAT, small, 0.9), (CAT, large, 0.8)],
                   [(CAT, small), (CAT, medium), (CAT, large)])
    curves = coco_curves([image], 3)
    aps = [curves.ap(0, 0.5, area) for area in ("small", "medium", "large")]
    assert aps == pytest.approx([1, 0, 1])
    np.testing.assert_array_equal(curves.objects, [[3, 1, 1, 1], [0, 0, 0, 0]])


def test_half_of_the_objects_found_give_51_of_101_steps():
    image = judged([(CAT, (0, 0, 9, 9), 0.9)], [(CAT, (0, 0, 9, 9)), (CAT, (50, 50, 59, 59))])
    assert coco_curves([image], 3).ap(0, 0.5) == pytest.approx(51 / 101)


def test_ignored_objects_do_not_count():
    image = judged([(CAT, (0, 0, 9, 9), 0.9), (CAT, (50, 50, 59, 59), 0.8)],
                   [(CAT, (0, 0, 9, 9)), (CAT, (50, 50, 59, 59))], ignored=[0])
    curves = coco_curves([image], 3)
    assert curves.ap(0, 0.5) == pytest.approx(1) and curves.objects[0, 0] == 1


@pytest.mark.parametrize("images", [[], [judged([], [])]])
def test_nothing_to_measure_is_nan(images):
    curves = coco_curves(images, 3)
    assert np.isnan(curves.ap()) and np.isnan(curves.ap(0, 0.5)) and not curves.objects.any()
