"""Numbers and costs of errors, by hand."""
import numpy as np
import pytest
from judged import judged

from faster_rcnn.evaluation.error_kinds import error_costs, error_counts

CAT, DOG = 1, 2
A, B, FAR = (0, 0, 9, 9), (30, 0, 39, 9), (70, 70, 79, 79)
HALF_OF_A = (0, 0, 9, 3)            # 40 of 100: the wrong place


def test_numbers_by_class_at_a_score():
    image = judged([(CAT, A, 0.9), (CAT, A, 0.8), (DOG, A, 0.7), (DOG, FAR, 0.2)],
                   [(CAT, A), (DOG, B)])
    counts = error_counts([image], 3, 0.5)
    assert counts["duplicate"].tolist() == [0, 1, 0]
    assert counts["wrong_class"].tolist() == [0, 0, 1]
    assert counts["background"].tolist() == [0, 0, 0]       # its score is below
    assert counts["missed"].tolist() == [0, 0, 1]
    assert error_counts([image], 3, 0.1)["background"].tolist() == [0, 0, 1]


def test_an_object_in_the_wrong_place_or_class_is_not_also_missed():
    place = judged([(CAT, HALF_OF_A, 0.9)], [(CAT, A)])
    class_ = judged([(DOG, A, 0.9)], [(CAT, A)])
    both = judged([(DOG, HALF_OF_A, 0.9)], [(CAT, A)])
    for image, missed in ((place, 0), (class_, 0), (both, 1)):
        assert error_counts([image], 3, 0.5)["missed"].sum() == missed
    assert error_counts([place], 3, 0.95)["missed"].sum() == 1


@pytest.mark.parametrize("dets, objects, kind, gain", [
    # the false alarm comes first: precision 1/2 at recall 1, so AP 0.5
    ([(CAT, FAR, 0.9), (CAT, A, 0.8)], [(CAT, A)], "background", 0.5),
    ([(CAT, A, 0.9), (CAT, A, 0.8), (CAT, B, 0.7)], [(CAT, A), (CAT, B)], "duplicate",
     1 - (0.5 + 0.5 * 2 / 3)),
    ([(CAT, HALF_OF_A, 0.9)], [(CAT, A)], "localisation", 1.0),
    ([(CAT, A, 0.9)], [(CAT, A), (CAT, B)], "missed", 0.5),
    ([(DOG, HALF_OF_A, 0.9), (DOG, B, 0.8)], [(DOG, B), (CAT, A)], "both", 0.25)])
def test_what_each_kind_costs(dets, objects, kind, gain):
    costs = error_costs([judged(dets, objects)], 3)
    assert costs[kind] == pytest.approx(gain)


def test_a_wrong_class_becomes_right_once_and_is_removed_where_the_object_is_found():
    # dog's AP is 0.5 (one of two found, precision 1), cat's 0; then both cats' detections are right
    twice = judged([(DOG, A, 0.9), (DOG, A, 0.8)], [(CAT, A)])
    assert error_costs([twice], 3)["wrong_class"] == pytest.approx(1.0)
    found = judged([(DOG, A, 0.9), (CAT, A, 0.8), (DOG, B, 0.7)], [(CAT, A), (DOG, B)])
    # dog's AP goes from 0.5 to 1, the mean over two classes by 0.25
    assert error_costs([found], 3)["wrong_class"] == pytest.approx(0.25)


def test_nothing_wrong_costs_nothing_and_no_objects_give_nan():
    costs = error_costs([judged([(CAT, A, 0.9)], [(CAT, A)])], 3)
    assert all(cost == 0 for cost in costs.values())
    assert np.isnan(error_costs([judged([], [])], 3)["missed"])
    assert np.isnan(error_costs([], 3)["missed"])
