"""The confusion matrix, by hand."""
import numpy as np
from judged import judged

from faster_rcnn.evaluation.confusion import confusion_matrix

CAT, DOG = 1, 2
A, B, FAR = (0, 0, 9, 9), (30, 0, 39, 9), (70, 70, 79, 79)


def test_pairs_missed_objects_and_false_alarms():
    image = judged([(CAT, A, 0.9), (CAT, B, 0.8), (DOG, FAR, 0.7), (DOG, FAR, 0.2)],
                   [(CAT, A), (DOG, B), (DOG, (50, 0, 59, 9))])
    np.testing.assert_array_equal(confusion_matrix([image], 3, 0.5),
                                  [[0, 0, 1], [0, 1, 0], [1, 1, 0]])


def test_the_right_class_is_paired_before_the_larger_overlap():
    image = judged([(DOG, A, 0.9), (CAT, (0, 0, 9, 6), 0.6)], [(CAT, A)])
    np.testing.assert_array_equal(confusion_matrix([image], 3, 0.5),
                                  [[0, 0, 1], [0, 1, 0], [0, 0, 0]])


def test_ignored_objects_are_in_no_row_and_their_detections_in_no_column():
    image = judged([(DOG, A, 0.9)], [(CAT, A), (CAT, B)], ignored=[0, 1])
    assert not confusion_matrix([image], 3, 0.5).any()


def test_rows_sum_to_objects_and_columns_to_detections():
    rng = np.random.default_rng(4)

    def box():
        x, y = rng.uniform(0, 30, 2)
        return (x, y, x + 10, y + 10)
    images = [judged([(int(rng.integers(1, 3)), box(), float(rng.random())) for _ in range(12)],
                     [(int(rng.integers(1, 3)), box()) for _ in range(6)]) for _ in range(20)]
    matrix = confusion_matrix(images, 3, 0.3)
    for number in (CAT, DOG):
        assert matrix[number].sum() == sum((image.classes == number).sum() for image in images)
        shown = sum(((image.det_classes == number) & (image.dets[:, 4] >= 0.3)).sum()
                    for image in images)
        assert matrix[:, number].sum() == shown
    assert confusion_matrix([], 3, 0.5).shape == (3, 3)
