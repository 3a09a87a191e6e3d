"""Non-maximum suppression: by hand, and against a slow twin (tests/reference/slow_ops.py)."""
import numpy as np
import pytest
import slow_ops
import torch

from caffe import ops


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
