"""Non-maximum suppression, hard and soft: by hand, and against slow twins (slow_ops.py)."""
import numpy as np
import pytest
import slow_ops
import torch

from caffe.operators import ops


def test_nms_by_hand(device):
    dets = torch.tensor([[0, 0, 9, 9, 0.5],      # 10 x 10
                         [0, 0, 9, 4, 0.9],      # half of it: overlap exactly 0.5
                         [20, 20, 29, 29, 0.7]], device=device)
    assert ops.nms(dets, 0.5).tolist() == [1, 2]
    assert ops.nms(dets, 0.5, inclusive=False).tolist() == [1, 2, 0]
    assert ops.nms(dets, 0.5, inclusive=False, max_keep=2).tolist() == [1, 2]


def test_nms_threshold_that_float32_cannot_say(device):
    # 7 of 10 pixels are common: float32(0.7) < 0.7, so the box stays, though 0.7 >= 0.7
    dets = torch.tensor([[0, 0, 9, 0, 0.9], [0, 0, 6, 0, 0.8]], device=device)
    assert ops.nms(dets, 0.7).tolist() == [0, 1]
    assert ops.nms(dets, float(np.float32(0.7))).tolist() == [0]


def test_nms_equal_scores_keep_the_order_of_the_rows(device):
    dets = torch.tensor([[0, 0, 9, 9, 0.5], [0, 0, 9, 9, 0.5], [50, 0, 59, 9, 0.5]], device=device)
    assert ops.nms(dets, 0.5).tolist() == [0, 2]


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("thresh", [0.3, 0.5, 0.7])
def test_nms_like_the_slow_one(device, thresh, inclusive, rng):
    low = rng.integers(0, 60, (150, 2))  # whole pixels: overlaps often equal the threshold
    dets = np.hstack([low, low + rng.integers(0, 30, (150, 2)), rng.permutation(150)[:, None]])
    dets, groups = dets.astype(np.float32), rng.integers(-3, 3, 150)
    on = torch.from_numpy(dets).to(device)
    assert ops.nms(on, thresh, inclusive).tolist() == slow_ops.nms(dets, thresh, inclusive)
    kept = ops.batched_nms(on[:, :4], on[:, 4], torch.from_numpy(groups).to(device), thresh,
                           inclusive)
    assert kept.tolist() == slow_ops.nms(dets, thresh, inclusive, groups)


def test_nms_twice_is_nms_once(device, rng):
    low = torch.from_numpy(rng.uniform(0, 500, (2000, 2)))
    dets = torch.cat([low, low + 60, torch.from_numpy(rng.random((2000, 1)))], 1).to(device)
    kept = dets[ops.nms(dets, 0.4)]
    assert 0 < len(kept) < 2000
    assert ops.nms(kept, 0.4).tolist() == list(range(len(kept)))


def test_nms_of_nothing(device):
    none = torch.zeros(0, 5, device=device)
    for kept in (ops.nms(none, 0.5),
                 ops.batched_nms(none[:, :4], none[:, 4], none[:, 4].long(), 0.5)):
        assert kept.shape == (0,) and kept.dtype == torch.int64 and kept.device == none.device


def test_nms_names_a_bad_shape():
    with pytest.raises(ValueError, match=r"dets must be \(N, 5\).* not \[3, 4\]"):
        ops.nms(torch.zeros(3, 4), 0.5)
    with pytest.raises(ValueError, match=r"groups are \[2\], boxes are \[3, 4\]"):
        ops.batched_nms(torch.zeros(3, 4), torch.zeros(3), torch.zeros(2), 0.5)


# Soft NMS

STACK = [[0, 0, 9, 9], [0, 0, 9, 4], [20, 20, 29, 29], [0, 0, 9, 7]]    # overlaps 1/2, 4/5, 5/8


def test_soft_nms_by_hand(device):
    boxes = torch.tensor(STACK, device=device).float()
    scores = torch.tensor([0.9, 0.8, 0.5, 0.7], device=device)
    keep, lowered = ops.soft_nms(boxes, scores, None, 0.6)
    # 0.7 (1 - 0.8) = 0.14; 0.8 stays, for 1/2 < 0.6, and takes 0.14 (1 - 5/8) = 0.0525 from it
    assert keep.tolist() == [0, 1, 2, 3] and keep.device == boxes.device
    np.testing.assert_allclose(lowered.cpu(), [0.9, 0.8, 0.5, 0.0525], rtol=1e-5)
    keep, lowered = ops.soft_nms(boxes, scores, None, 0.5)      # an overlap of just the threshold
    np.testing.assert_allclose(lowered.cpu(), [0.9, 0.5, 0.4, 0.0525], rtol=1e-5)
    assert keep.tolist() == [0, 2, 1, 3]
    assert ops.soft_nms(boxes, scores, None, 0.5, score_thresh=0.1)[0].tolist() == [0, 2, 1]
    keep, lowered = ops.soft_nms(boxes, scores, None, 0.5, "gaussian", sigma=0.5)
    np.testing.assert_allclose(lowered.cpu(), [
        0.9, 0.5, 0.8 * np.exp(-0.5 ** 2 / 0.5),
        0.7 * np.exp(-0.8 ** 2 / 0.5) * np.exp(-0.625 ** 2 / 0.5)], rtol=1e-5)


def test_soft_nms_within_groups(device):
    boxes, scores = torch.tensor(STACK[:2]).float(), torch.tensor([0.9, 0.8])
    keep, lowered = ops.soft_nms(boxes.to(device), scores.to(device),
                                 torch.tensor([7, -1], device=device), 0.1)
    assert keep.tolist() == [0, 1]
    assert torch.equal(lowered.cpu(), scores)


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_nms_like_the_slow_one(method, rng):
    low = rng.uniform(0, 60, (120, 2))
    dets = np.hstack([low, low + rng.uniform(0, 30, (120, 2)), rng.random((120, 1))])
    dets, groups = dets.astype(np.float32), rng.integers(-1, 2, 120)
    dets[7, 4] = dets[3, 4]     # equal scores keep the order of the rows
    on = torch.from_numpy(dets)
    keep, lowered = ops.soft_nms(on[:, :4], on[:, 4], None, 0.3, method, 0.4, 0.05)
    want = slow_ops.soft_nms(dets, 0.3, method, 0.4, 0.05)
    assert keep.tolist() == [row for row, _ in want] and 20 < len(want) < 120
    np.testing.assert_allclose(lowered, [score for _, score in want], rtol=1e-5)
    keep, lowered = ops.soft_nms(on[:, :4], on[:, 4], torch.from_numpy(groups), 0.3, method, 0.4,
                                 0.05)
    assert (lowered[:-1] >= lowered[1:]).all()
    for group in (-1, 0, 1):
        rows = np.flatnonzero(groups == group)
        want = [rows[row] for row, _ in slow_ops.soft_nms(dets[rows], 0.3, method, 0.4, 0.05)]
        assert [row for row in keep.tolist() if groups[row] == group] == want


def test_soft_nms_of_nothing_and_of_unsound_scores(device):
    none = torch.zeros(0, 4, device=device)
    keep, lowered = ops.soft_nms(none, none[:, 0], None, 0.5)
    assert keep.shape == lowered.shape == (0,) and keep.dtype == torch.int64
    boxes, scores = torch.tensor(STACK).float(), torch.tensor([float("nan"), 0.5, 1e-9, 0.4])
    assert ops.soft_nms(boxes, scores, None, 0.5)[0].tolist() == [1, 3]


def test_soft_nms_names_a_bad_operand():
    boxes, scores = torch.zeros(3, 4), torch.zeros(3)
    with pytest.raises(ValueError, match=r"soft_nms: boxes must be \(N, 4\).* not \[3, 5\]"):
        ops.soft_nms(torch.zeros(3, 5), scores, None, 0.5)
    with pytest.raises(ValueError, match=r"soft_nms: scores are \[2\], boxes are \[3, 4\]"):
        ops.soft_nms(boxes, scores[:2], None, 0.5)
    with pytest.raises(ValueError, match="sigma must be > 0, not 0"):
        ops.soft_nms(boxes, scores, None, 0.5, "gaussian", sigma=0)
    with pytest.raises(ValueError, match='method must be "linear" or "gaussian", not "hard"'):
        ops.soft_nms(boxes, scores, None, 0.5, "hard")


def test_soft_nms_keeps_its_promises():
    boxes, scores = torch.tensor(STACK).float(), torch.tensor([0.9, 0.8, 0.5, 0.7])
    torch.library.opcheck(torch.ops.caffe_fast_rcnn.soft_nms.default,
                          (boxes, scores, None, False, 0.5, 0.5, 0.001))
