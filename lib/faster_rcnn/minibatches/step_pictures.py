"""Pictures of what a training looks at, every TRAIN.PICTURE_ITERS iterations.

<stem>_pictures/iter_000500.jpg: the first image of the minibatch, with its annotations, the anchors
that are trained as objects, and the best proposals; of a Fast R-CNN its rois. No random number is
drawn and no blob changed: results are the same.
"""
from typing import Any

import numpy as np
import torch

import caffe
from faster_rcnn.anchors.grid import AnchorGrid, map_to_rows
from faster_rcnn.anchors.options import ProposalOptions
from faster_rcnn.anchors.proposals import propose
from faster_rcnn.boxes.cython_bbox import bbox_overlaps
from faster_rcnn.reports.training_picture import Panel, training_picture
from faster_rcnn.reports.visualize import write_image
from faster_rcnn.runs import processes
from faster_rcnn.settings.config import cfg

TOP_PROPOSALS = 20
GOOD_OVERLAP = 0.5          # a proposal with this overlap with an object is drawn in colour


def write_if_due(solver: Any, stem: str) -> None:
    """Writes the picture of the solver's last iteration, if it is due; stem: of the training."""
    every = cfg.TRAIN.PICTURE_ITERS
    if not every or solver.iter % every or not processes.is_first():
        return
    data = solver.net.blobs.get("data")
    if data is not None and len(data.shape) == 4 and data.shape[1] == 3:
        write_image(f"{stem}_pictures/iter_{solver.iter:06d}.jpg",
                    training_picture(as_image(data.data[0]), panels(solver.net)))


def as_image(data: np.ndarray) -> np.ndarray:
    """A net's input (3, H, W), means subtracted, as (H, W, 3) uint8, BGR."""
    pixels = data.transpose(1, 2, 0) + np.asarray(cfg.PIXEL_MEANS).reshape(1, 1, 3)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def panels(net: Any) -> list[Panel]:
    """What there is to see of the first image of a training net's last minibatch."""
    blobs = net.blobs
    found, gt_boxes = [], np.zeros((0, 5))
    if "gt_boxes" in blobs:
        gt_boxes = _of_first_image(blobs["gt_boxes"].data)
        found.append(Panel(f"{len(gt_boxes)} annotated objects", gt_boxes[:, :4],
                           [f"class {int(number)}" for number in gt_boxes[:, 4]]))
    name = next((name for name, layer in net.layer_dict.items()
                 if isinstance(getattr(layer, "grid", None), AnchorGrid)), None)
    if name is not None:
        found.append(_anchors(net, name))
    if "rpn_rois" in blobs:
        rois = _plain(blobs["rpn_rois"].data)
        found.append(_proposals(rois[rois[:, 0] == 0, 1:5], gt_boxes))
    elif name is not None:
        found.append(_proposals(_rpn_proposals(net, name), gt_boxes))
    elif "rois" in blobs and "labels" in blobs:
        found += _rois(_plain(blobs["rois"].data), blobs["labels"].data.reshape(-1))
    return found


def _of_first_image(gt_boxes: np.ndarray) -> np.ndarray:
    """The rows (G, 5) of the first image; with several images the last column is its number."""
    rows = _plain(gt_boxes)
    return rows if rows.shape[1] == 5 else rows[rows[:, 5] == 0, :5]


def _plain(blob: np.ndarray) -> np.ndarray:
    """A blob of rows as (N, columns) float64."""
    return np.array(blob, np.float64).reshape(len(blob), -1)


def _anchors(net: Any, name: str) -> Panel:
    """The positive anchors; name: of the layer that labels them."""
    height, width = net.blobs[net.bottom_names[name][0]].data.shape[2:]
    labels = torch.from_numpy(net.blobs[net.top_names[name][0]].data[:1].copy())
    labels = map_to_rows(labels.reshape(1, -1, height, width), 1)[:, 0]
    anchors = net.layer_dict[name].grid(height, width, "cpu")[labels == 1].numpy()
    trained = int((labels >= 0).sum())
    return Panel(f"{len(anchors)} positive anchors of {trained} trained", anchors)


def _proposals(boxes: np.ndarray, gt_boxes: np.ndarray) -> Panel:
    """The best of boxes (R, 4) in descending order of score."""
    top = np.ascontiguousarray(boxes[:TOP_PROPOSALS])
    good = np.zeros(len(top), bool)
    if len(top) and len(gt_boxes):
        good = bbox_overlaps(top, np.ascontiguousarray(gt_boxes[:, :4])).max(axis=1) >= GOOD_OVERLAP
    return Panel(f"top {len(top)} of {len(boxes)} proposals, {good.sum()} on objects", top,
                 good=good)


def _rpn_proposals(net: Any, name: str) -> np.ndarray:
    """The proposals (R, 4) of an RPN that is trained without a layer that makes them."""
    scores_name, targets_name = net.bottom_names[name][0], net.top_names[name][1]
    deltas_name = next(bottoms[0] for bottoms in net.bottom_names.values()
                       if targets_name in bottoms)
    score, deltas = (torch.from_numpy(net.blobs[blob].data[:1].copy())
                     for blob in (scores_name, deltas_name))
    options = ProposalOptions.from_cfg(caffe.TRAIN)
    rows = map_to_rows(deltas, 4)
    if options.normalization:
        means, stds = map(rows.new_tensor, options.normalization)
        rows = rows * stds + means
    num_anchors = score.shape[1] // 2       # background first, then objects
    scores = map_to_rows(score[:, num_anchors:] - score[:, :num_anchors], 1)[:, 0]
    anchors = net.layer_dict[name].grid(*score.shape[2:], "cpu")
    info = torch.from_numpy(net.blobs["im_info"].data[0].copy())
    return propose(anchors, scores, rows, info, options).boxes.double().numpy()


def _rois(rois: np.ndarray, labels: np.ndarray) -> list[Panel]:
    """Foreground and background of the first image; rois (R, 5), labels (R,)."""
    own = rois[:, 0] == 0
    chosen = {"foreground": own & (labels > 0), "background": own & (labels == 0)}
    return [Panel(f"{rows.sum()} {words} rois", rois[rows, 1:5],
                  good=np.full(rows.sum(), words == "foreground"))
            for words, rows in chosen.items()]
