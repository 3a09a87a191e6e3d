#!/usr/bin/env python3
"""Follows one image through a trained detector: writes one_image.md and its pictures.

    .venv/bin/python docs/one_image.py output/faster_rcnn_alt_opt/shapes_trainval/\
Tiny_faster_rcnn_final.caffemodel data/shapes/JPEGImages/000481.jpg

Every number of the page is measured here. The detector is one with an RPN, described by the .json
beside its weights, such as that of `make demo`.
"""
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

import caffe
from faster_rcnn.anchors.grid import AnchorGrid, map_to_rows
from faster_rcnn.boxes.transform import bbox_transform_inv, clip_boxes
from faster_rcnn.detection.inputs import NetInput, forward
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.detection.refinement import select_detections
from faster_rcnn.detectors.description import Description, DescriptionError, anchors_of
from faster_rcnn.detectors.finding import opened
from faster_rcnn.images.reading import read_image
from faster_rcnn.reports.visualize import (
    class_colour,
    draw_box,
    draw_detections,
    enlarged,
    scaled_box,
    write_image,
)
from faster_rcnn.settings.config import cfg
from faster_rcnn.settings.merge import merge

HERE = Path(__file__).parent
TEMPLATE = HERE / "one_image" / "page.txt"
THRESH = 0.5
# Blobs of the net in the order in which they are computed, and what they are
BLOBS = {
    "data": "the image, scaled, minus `PIXEL_MEANS`",
    "im_info": "height and width of `data`, and the scale",
    "conv6": "the shared feature map, which the RPN and the detector both read",
    "rpn_cls_score": "two scores for each of the {A} anchors of a cell: background, object",
    "rpn_bbox_pred": "dx, dy, dw, dh for each anchor of a cell",
    "rpn_cls_prob_reshape": "the scores as probabilities: the first {A} channels are for"
                            " background, the last {A} for objects",
    "rois": "proposals: image index, x1, y1, x2, y2 in pixels of `data`",
    "pool5": "the features of each roi: the maximum in each cell of a grid",
    "fc6": "first fully connected layer",
    "fc7": "second fully connected layer",
    "cls_prob": "probability of each class, the background first",
    "bbox_pred": "dx, dy, dw, dh for each class",
}


def described_net(path: str) -> tuple[caffe.Net, Description]:
    """The net of described weights, and the description; cfg takes its settings."""
    with opened(path) as found:
        if found.description is None:
            raise DescriptionError(f"{found.weights} has no description; tools/describe.py makes "
                                   "one")
        merge(found.description.settings, cfg, lambda key: "description")
        net = caffe.Net(found.description.net_message(), caffe.TEST, weights=found.weights)
        return net, found.description


def shape(array: np.ndarray | torch.Tensor) -> str:
    return f"({', '.join(map(str, array.shape))}{',' if array.ndim == 1 else ''})"


def write_page(weights: str, picture: str, folder: Path = HERE) -> None:
    """Writes one_image.md and one_image/*.jpg into a folder."""
    net, description = described_net(weights)
    names = list(description.classes)
    options = TestOptions.from_cfg()
    im = read_image(picture)
    blobs = NetInput(im, None, options).blobs
    scale = blobs["im_info"][0, 2]
    forward(net, blobs, tuple(BLOBS))

    anchors = anchors_of(description.net_message(), weights) or {}
    grid = AnchorGrid(**anchors)
    rows, columns = net.blobs["rpn_cls_score"].shape[2:]
    objects = net.blobs["rpn_cls_prob_reshape"].data[0, grid.num_anchors:]
    rois = net.blobs["rois"].data[:, 1:] / scale
    boxes = clip_boxes(bbox_transform_inv(rois, net.blobs["bbox_pred"].data, 0.0), im.shape)
    scores = net.blobs["cls_prob"].data
    dets = select_detections(scores, boxes, 0.05, cfg.TEST.NMS, 100,
                             options.refinement)[1:]
    found = sorted(((score, names[k], box) for k, rows_ in enumerate(dets)
                    for *box, score in rows_.tolist() if score >= THRESH), reverse=True)

    draw(folder / "one_image", im, objects, rois[:12], dict(zip(names, dets)), names)
    (folder / "one_image.md").write_text(TEMPLATE.read_text("utf-8").format(
        A=grid.num_anchors, classes=len(names), im_shape=shape(im), scale=f"{scale:g}",
        rows="\n".join(f"| `{name}` | {shape(net.blobs[name].data)} | "
                       f"{text.format(A=grid.num_anchors)} |" for name, text in BLOBS.items()),
        cells=f"{rows} x {columns}", stride=anchors["feat_stride"], base=anchors["base_size"],
        scales=", ".join(map(str, anchors["scales"])),
        ratios=", ".join(map(str, anchors["ratios"])),
        anchors=shape(map_to_rows(torch.from_numpy(net.blobs["rpn_bbox_pred"].data), 4)),
        min_size=cfg.TEST.RPN_MIN_SIZE, pre=cfg.TEST.RPN_PRE_NMS_TOP_N,
        rpn_nms=cfg.TEST.RPN_NMS_THRESH, post=cfg.TEST.RPN_POST_NMS_TOP_N,
        rois=shape(net.blobs["rois"].data), pooled=shape(net.blobs["pool5"].data[0]),
        boxes=shape(boxes), nms=cfg.TEST.NMS, kept=sum(map(len, dets)), shown=len(found),
        thresh=THRESH, found="\n".join(
            f"| {name} | {score:.3f} | {', '.join(f'{v:.1f}' for v in box)} |"
            for score, name, box in found)), encoding="utf-8")


def draw(folder: Path, im: np.ndarray, objects: np.ndarray, proposals: np.ndarray,
         dets: dict[str, np.ndarray], names: list[str]) -> None:
    """The pictures of the page. objects: (A, h, w) probabilities; proposals: (R, 4)."""
    canvas, factor = enlarged(im, 300)
    write_image(folder / "picture.jpg", canvas)
    heat = cv2.resize((objects.max(0) * 255).astype(np.uint8), canvas.shape[1::-1],
                      interpolation=cv2.INTER_NEAREST)
    coloured = cv2.applyColorMap(heat, cv2.COLORMAP_VIRIDIS)
    write_image(folder / "objectness.jpg", cv2.addWeighted(canvas, 0.4, coloured, 0.6, 0))
    boxed = canvas.copy()
    for number, box in enumerate(proposals):
        draw_box(boxed, scaled_box(box, factor), class_colour(number), 1)
    write_image(folder / "proposals.jpg", boxed)
    write_image(folder / "detections.jpg", draw_detections(im, dets, THRESH, names, 300))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} WEIGHTS.caffemodel PICTURE")
    caffe.set_mode_cpu()
    write_page(*sys.argv[1:])
