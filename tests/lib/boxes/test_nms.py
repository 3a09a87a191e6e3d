"""Non-maximum suppression: all versions against the definition."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_detection import overlap

from caffe.operators import ops
from fast_rcnn.nms_wrapper import nms
from faster_rcnn.boxes.cpu_nms import cpu_nms
from faster_rcnn.boxes.nms import py_cpu_nms


def operator(dets, thresh):
    return ops.nms(torch.from_numpy(np.array(dets, np.float32)), thresh).tolist()


VERSIONS = pytest.mark.parametrize("version", [py_cpu_nms, cpu_nms, nms, operator])


def by_definition(dets, thresh):
    keep = []
    for row in sorted(range(len(dets)), key=lambda i: -dets[i][4]):
        if all(overlap(dets[row], dets[kept], last=1) < thresh for kept in keep):
            keep.append(row)
    return keep


def random_dets(rng, count):
    corners = rng.uniform(0, 100, (count, 2))
    sizes = rng.uniform(5, 60, (count, 2))
    scores = rng.permutation(count)[:, None] / count
    return np.hstack([corners, corners + sizes, scores]).astype(np.float32)


@VERSIONS
def test_by_hand(version):
    dets = np.array([[0, 0, 9, 9, 0.5],         # suppressed by the next: 90 of 110 pixels
                     [1, 0, 10, 9, 0.9],
                     [20, 0, 29, 9, 0.7],
                     [0, 5, 9, 14, 0.6]], np.float32)    # 45 of 155 pixels of the second
    assert version(dets, 0.5) == [1, 2, 3]
    assert version(dets, 0.29) == [1, 2]
    assert version(dets, 0.95) == [1, 2, 3, 0]


@VERSIONS
def test_an_overlap_of_just_the_threshold_suppresses(version):
    # 5 x 10 of 10 x 10 pixels: 0.5, which float32 holds exactly
    assert version(np.array([[0, 0, 9, 9, 0.9], [0, 0, 4, 9, 0.8]], np.float32), 0.5) == [0]


@VERSIONS
def test_nothing(version):
    assert version(np.zeros((0, 5), np.float32), 0.5) == []


def test_the_operator_keeps_the_order_of_equal_scores():
    dets = np.array([[0, 0, 9, 9, 0.5], [0, 0, 9, 9, 0.5], [30, 0, 39, 9, 0.5]], np.float32)
    assert operator(dets, 0.5) == [0, 2]


@pytest.mark.parametrize("count", [3, 16, 40, 400])
@pytest.mark.parametrize("version", [py_cpu_nms, cpu_nms, nms])
def test_equal_scores_are_visited_in_the_order_of_the_original(version, count):
    dets = random_dets(np.random.RandomState(count), count)
    dets[::2, 4] = 1
    keep = []
    for row in dets[:, 4].argsort()[::-1]:      # py-faster-rcnn: nms/cpu_nms.pyx
        if all(overlap(dets[row], dets[kept], last=1) < 0.4 for kept in keep):
            keep.append(row)
    assert version(dets, 0.4) == keep


@VERSIONS
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("thresh", [0.3, 0.7])
def test_against_the_definition(version, seed, thresh):
    dets = random_dets(np.random.RandomState(seed), 80)
    assert version(dets, thresh) == by_definition(dets.tolist(), thresh)


@VERSIONS
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10 ** 6), count=st.integers(1, 60),
       thresh=st.sampled_from([0.2, 0.5, 0.8]))
def test_doing_it_again_changes_nothing(version, seed, count, thresh):
    dets = random_dets(np.random.RandomState(seed), count)
    kept = dets[version(dets, thresh)]
    assert version(kept, thresh) == list(range(len(kept)))


def test_input_may_be_read_only_and_of_any_layout():
    dets = np.asfortranarray(random_dets(np.random.RandomState(0), 30))
    dets.flags.writeable = False
    assert cpu_nms(dets, 0.5) == py_cpu_nms(dets, 0.5) == cpu_nms(dets.astype(np.float64), 0.5)
