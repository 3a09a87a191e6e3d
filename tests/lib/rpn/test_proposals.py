"""rpn.proposals: decode, clip, filter, sort, suppress."""
import torch

from faster_rcnn.anchors.options import ProposalOptions
from faster_rcnn.anchors.proposals import decode, propose

OPTIONS = ProposalOptions(pre_nms_top_n=-1, post_nms_top_n=-1, nms_thresh=0.7, min_size=4)
ANCHORS = torch.tensor([[0, 0, 9, 9], [20, 0, 29, 9], [0, 20, 9, 29], [1, 0, 10, 9]]).double()
IM_INFO = torch.tensor([40.0, 40, 1])


def run(scores, deltas=None, options=OPTIONS, im_info=IM_INFO):
    deltas = torch.zeros(4, 4) if deltas is None else deltas
    found = propose(ANCHORS, torch.tensor(scores), deltas, im_info, options)
    assert torch.equal(decode(ANCHORS, deltas, im_info, options.max_log_scale)[found.rows],
                       found.boxes)
    return found.boxes, found.scores


def test_zero_deltas_make_the_anchors_one_pixel_larger_best_first():
    proposals, scores = run([0.3, 0.2, 0.9, 0.1])
    # the last anchor overlaps the first by 110 of 132 pixels
    assert proposals.tolist() == [[0, 20, 10, 30], [0, 0, 10, 10], [20, 0, 30, 10]]
    assert torch.equal(scores, torch.tensor([0.9, 0.3, 0.2]))


def test_proposals_are_clipped_then_filtered_by_size_at_the_original_scale():
    deltas = torch.zeros(4, 4)
    deltas[1, 0] = 1.7      # 17 pixels to the right: x from 37 to 39 remains, 3 pixels
    proposals, _ = run([0.9, 0.8, 0.7, 0.6], deltas)
    assert proposals.tolist() == [[0, 0, 10, 10], [0, 20, 10, 30]]
    proposals, _ = run([0.9, 0.8, 0.7, 0.6], deltas, OPTIONS._replace(min_size=3))
    assert proposals[1].tolist() == [37, 0, 39, 10]
    none, scores = run([0.9, 0.8, 0.7, 0.6], deltas, im_info=torch.tensor([40.0, 40, 3]))
    assert none.shape == (0, 4) and scores.shape == (0,)


def test_limits_before_and_after_suppression():
    assert len(run([0.9, 0.2, 0.3, 0.8], options=OPTIONS._replace(pre_nms_top_n=2))[0]) == 1
    assert len(run([0.9, 0.2, 0.3, 0.8], options=OPTIONS._replace(post_nms_top_n=2))[0]) == 2
    assert len(run([0.9, 0.2, 0.3, 0.8], options=OPTIONS._replace(post_nms_top_n=0))[0]) == 3


def test_values_that_are_no_numbers_are_dropped():
    deltas = torch.zeros(4, 4)
    deltas[2, 2] = float("nan")
    deltas[1, 3] = float("inf")     # as high as the image
    proposals, scores = run([float("nan"), 0.5, 0.9, 0.1], deltas)
    assert proposals.tolist() == [[20, 0, 30, 39], [1, 0, 11, 10]]
    assert torch.isfinite(scores).all()


def test_limit_of_the_regressed_size():
    deltas = torch.zeros(4, 4)
    deltas[0, 2] = 100.0
    proposals, _ = run([0.9, 0.1, 0.1, 0.1], deltas, OPTIONS._replace(max_log_scale=0.0))
    assert proposals[0, 2] == 39
    proposals, _ = run([0.9, 0.1, 0.1, 0.1], deltas, OPTIONS._replace(max_log_scale=0.5))
    assert 13 < proposals[0, 2] < 14        # centre 5, half of 10 * e^.5
