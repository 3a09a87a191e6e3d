"""Pictures divided into training and test."""
import numpy as np
import pytest

from faster_rcnn.folders.division import divide


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_shared_out_in_proportion(seed):
    rng = np.random.default_rng(seed)
    counts = (rng.random((400, 4)) < [0.9, 0.4, 0.1, 0.05]) * rng.integers(1, 9, (400, 4))
    mask = divide(counts, np.arange(400), seed=seed)
    assert abs(mask.mean() - 0.2) < 0.01
    shares = (counts[mask] > 0).sum(axis=0) / (counts > 0).sum(axis=0)
    assert np.abs(shares - 0.2).max() < 0.06


def test_groups_stay_together_and_the_same_seed_gives_the_same():
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 30, 200)
    counts = rng.integers(0, 3, (200, 3))
    mask = divide(counts, groups)
    assert all(len(set(mask[groups == group])) == 1 for group in set(groups))
    assert abs(mask.mean() - 0.2) < 0.05
    assert (divide(counts, groups) == mask).all()
    assert (divide(counts, groups, seed=9) != mask).any()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_pictures_give_one_for_each_side(count):
    assert 1 <= divide(np.ones((count, 1)), np.arange(count)).sum() < count


def test_a_class_of_one_picture_is_trained_on_and_one_of_two_is_tested():
    counts = np.zeros((40, 3))
    counts[:, 0], counts[7, 1], counts[[3, 9], 2] = 1, 1, 1
    for seed in range(5):
        mask = divide(counts, np.arange(40), seed=seed)
        assert not mask[7] and mask[[3, 9]].sum() == 1
