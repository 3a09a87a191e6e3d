"""Minibatches from entries of a prepared roidb (see datasets/imdb.py and minibatches/roidb.py)."""
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from faster_rcnn.boxes.sampling import expand_targets, rois_per_image, sample_rois, with_four_axes
from faster_rcnn.images import augment
from faster_rcnn.images.blob import im_list_to_blob, prep_im_for_blob
from faster_rcnn.images.naming import naming_image
from faster_rcnn.images.reading import read_image
from faster_rcnn.minibatches.options import MinibatchOptions

Blobs = dict[str, np.ndarray]
Entry = dict[str, Any]


def get_minibatch(roidb: Sequence[Entry], num_classes: int, rng: Any = None,
                  options: MinibatchOptions | None = None) -> Blobs:
    """The blobs of a minibatch: a dict of float32 arrays.

    roidb:   N prepared entries, one per image
    rng:     random generator that draws scales and rois; numpy's global one by default
    options: the present cfg by default
    With TRAIN.HAS_RPN: data (N, 3, H, W), im_info (N, 3) height, width and scale of each image
    without its padding, and gt_boxes (G, 5) x1, y1, x2, y2, class; with several images (G, 6), the
    last column being the image's index. Otherwise data, rois (S, 5) image, x1, y1, x2, y2, labels
    (S,) and, with TRAIN.BBOX_REG, bbox_targets, bbox_inside_weights and bbox_outside_weights
    (S, 4 num_classes); with TRAIN.AGNOSTIC they have 8 columns, targets of all classes being in
    those of class 1, and four axes. Boxes are in pixels of `data`.
    """
    rng = np.random if rng is None else rng
    options = MinibatchOptions.from_cfg() if options is None else options
    target_sizes = drawn_scales(len(roidb), rng, options)
    if options.has_rpn:
        return _annotated_blobs(roidb, target_sizes, rng, options)
    ims, scales = _scaled_images(roidb, [image_of(entry) for entry in roidb], target_sizes, rng,
                                 options)
    data = im_list_to_blob(ims, options.multiple_of)
    parts = [_roi_blobs(entry, i, scale, num_classes, len(roidb), rng, options)
             for i, (entry, scale) in enumerate(zip(roidb, scales))]
    blobs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {"data": data, **blobs}


def drawn_scales(num_images: int, rng: Any, options: MinibatchOptions) -> list[float]:
    """The scale of each image of a minibatch, the first numbers that are drawn for it."""
    return [options.scales[i] for i in rng.randint(0, high=len(options.scales), size=num_images)]


def image_of(entry: Entry) -> np.ndarray:
    """The image of an entry, (h, w, 3) uint8, in the entry's position."""
    return augment.turned_image(read_image(entry["image"]), entry)


def _scaled_images(roidb: Sequence[Entry], ims: Sequence[np.ndarray],
                   target_sizes: Sequence[float], rng: Any,
                   options: MinibatchOptions) -> tuple[list[np.ndarray], list[float]]:
    """Images of entries as (h, w, 3) float32, jittered, scaled, the means subtracted; and their
    scale factors."""
    low, high = options.changes.scale_jitter
    made, scales = [], []
    for entry, im, target_size in zip(roidb, ims, target_sizes):
        if (low, high) != (1, 1):
            target_size = augment.jittered_scale(rng, target_size, (low, high))
        if any(options.changes.color_jitter):
            im = augment.jittered_colors(rng, im, options.changes.color_jitter)
        with naming_image(entry["image"]):
            im, scale = prep_im_for_blob(im, options.pixel_means, target_size, options.max_size)
        made.append(im)
        scales.append(scale)
    return made, scales


def _scaled(boxes: np.ndarray, scale: float) -> np.ndarray:
    """Boxes times a factor in float32, whatever their dtype."""
    return boxes.astype(np.float32) * np.float32(scale)


def _annotated_blobs(roidb: Sequence[Entry], target_sizes: Sequence[float], rng: Any,
                     options: MinibatchOptions) -> Blobs:
    """Blobs for an RPN: data, im_info (N, 3), and gt_boxes (G, 5), with several images (G, 6)."""
    ims, boxes, classes = zip(*(_image_and_boxes(entry, rng, options) for entry in roidb))
    ims, scales = _scaled_images(roidb, ims, target_sizes, rng, options)
    columns = [np.concatenate([_scaled(of_image, scale) for of_image, scale in zip(boxes, scales)]),
               np.concatenate(classes)[:, None]]
    if len(roidb) > 1:
        counts = [len(of_image) for of_image in boxes]
        columns.append(np.repeat(np.arange(len(roidb)), counts)[:, None])
    info = [[*im.shape[:2], scale] for im, scale in zip(ims, scales)]
    data = im_list_to_blob(ims, options.multiple_of)
    return {"data": data, "im_info": np.array(info, np.float32),
            "gt_boxes": np.hstack(columns).astype(np.float32)}


def _image_and_boxes(entry: Entry, rng: Any,
                     options: MinibatchOptions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The image of an entry, cropped if the options say so, its annotated boxes and classes."""
    im, annotated = image_of(entry), entry["gt_classes"] != 0
    if not options.use_all_gt:
        annotated &= entry["max_overlaps"] >= 0
    boxes, classes = entry["boxes"][annotated], entry["gt_classes"][annotated]
    if options.changes.random_crop[0] > 0:
        window = augment.crop_window(rng, im.shape, boxes, options.changes.random_crop)
        inside = augment.centres_inside(boxes, window)
        boxes, classes = augment.cropped_boxes(boxes[inside], window), classes[inside]
        im = im[window[1]:window[3] + 1, window[0]:window[2] + 1]
    return im, boxes, classes


def _roi_blobs(entry: Entry, image: int, scale: float, num_classes: int, num_images: int, rng: Any,
               options: MinibatchOptions) -> Blobs:
    """The sampled rois of one image with labels and targets; foreground first."""
    wanted = options.rois
    keep, num_fg = sample_rois(torch.from_numpy(np.asarray(entry["max_overlaps"], np.float32)),
                               rois_per_image(wanted.batch_size, num_images),
                               wanted.fg_fraction, wanted.fg_thresh, wanted.bg_thresh, rng)
    rows = keep.numpy()
    labels = entry["max_classes"][rows].astype(np.float32)
    labels[num_fg:] = 0
    rois = _scaled(entry["boxes"][rows], scale)
    blobs = {"rois": np.hstack((np.full((len(rows), 1), image, np.float32), rois)),
             "labels": labels}
    if options.bbox_reg:
        # the class a box is regressed for comes with its target: 0 below TRAIN.BBOX_THRESH
        learned = torch.from_numpy(entry["bbox_targets"][rows].astype(np.float32))
        targets, inside = expand_targets(learned[:, 0], learned[:, 1:],
                                         wanted.box_classes(num_classes),
                                         wanted.inside_weights, wanted.agnostic)
        blobs.update(bbox_targets=targets.numpy(), bbox_inside_weights=inside.numpy(),
                     bbox_outside_weights=(inside > 0).float().numpy())
    if wanted.agnostic:
        return {name: with_four_axes(blob) for name, blob in blobs.items()}
    return blobs
