"""Overlaps of boxes against torchvision's, where torchvision can be imported."""
import numpy as np
import torch
from torchvision_boxes import random_boxes, torchvision_ops, with_far_edges

from faster_rcnn.boxes import geometry
from faster_rcnn.boxes.cython_bbox import bbox_overlaps

theirs = torchvision_ops()


def test_overlaps():
    boxes, others = (random_boxes(np.random.default_rng(seed), 80, 40) for seed in (1, 2))
    want = theirs.box_iou(with_far_edges(boxes), with_far_edges(others))
    torch.testing.assert_close(geometry.overlaps(boxes, others), want)
    np.testing.assert_allclose(bbox_overlaps(boxes.numpy(), others.numpy()), want)
