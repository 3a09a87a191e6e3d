"""Minibatches from entries of a prepared roidb (see datasets/imdb.py and
roi_data_layer/roidb.py).
"""
from dataclasses import dataclass

import numpy as np
import torch

from fast_rcnn.config import cfg
from fast_rcnn.sampling import expand_targets, sample_rois
from utils.blob import im_list_to_blob, prep_im_for_blob
from utils.images import read_image


@dataclass(frozen=True)
class MinibatchOptions:
    """The settings a minibatch is made with; named as in cfg.TRAIN."""

    has_rpn: bool
    bbox_reg: bool
    scales: tuple
    max_size: int
    pixel_means: tuple
    batch_size: int
    fg_fraction: float
    fg_thresh: float
    bg_thresh: tuple
    inside_weights: tuple

    @classmethod
    def from_cfg(cls):
        """The present settings."""
        t = cfg.TRAIN
        return cls(bool(t.HAS_RPN), bool(t.BBOX_REG), tuple(t.SCALES), t.MAX_SIZE,
                   tuple(np.ravel(cfg.PIXEL_MEANS)), t.BATCH_SIZE, t.FG_FRACTION, t.FG_THRESH,
                   (t.BG_THRESH_LO, t.BG_THRESH_HI), tuple(t.BBOX_INSIDE_WEIGHTS))

    @property
    def top_names(self):
        """The blobs of a minibatch, in the order of the data layer's tops."""
        if self.has_rpn:
            return ("data", "im_info", "gt_boxes")
        regression = ("bbox_targets", "bbox_inside_weights", "bbox_outside_weights")
        return ("data", "rois", "labels") + (regression if self.bbox_reg else ())


def get_minibatch(roidb, num_classes, rng=None, options=None):
    """The blobs of a minibatch: a dict of float32 arrays.

    roidb:   N prepared entries, one per image
    rng:     generator of scales and rois; numpy's global one by default
    options: MinibatchOptions; the present cfg by default
    With TRAIN.HAS_RPN: data (N, 3, H, W), im_info (N, 3) height, width and scale of each image
    without its padding, and gt_boxes (G, 5) x1, y1, x2, y2, class; with several images (G, 6), the
    last column being the image's index. Otherwise data, rois (S, 5) image, x1, y1, x2, y2, labels
    (S,) and, with TRAIN.BBOX_REG, bbox_targets, bbox_inside_weights and bbox_outside_weights
    (S, 4 num_classes). Boxes are in pixels of `data`.
    """
    rng = np.random if rng is None else rng
    options = MinibatchOptions.from_cfg() if options is None else options
    scale_inds = rng.randint(0, high=len(options.scales), size=len(roidb))
    ims, scales = _scaled_images(roidb, [options.scales[i] for i in scale_inds], options)
    data = im_list_to_blob(ims)
    if options.has_rpn:
        return {"data": data, **_rpn_blobs(roidb, ims, scales)}
    if options.batch_size % len(roidb):
        raise ValueError(f"TRAIN.BATCH_SIZE {options.batch_size} cannot be shared evenly by "
                         f"{len(roidb)} images (TRAIN.IMS_PER_BATCH)")
    parts = [_roi_blobs(entry, i, scale, num_classes, len(roidb), rng, options)
             for i, (entry, scale) in enumerate(zip(roidb, scales))]
    blobs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {"data": data, **blobs}


def _scaled_images(roidb, target_sizes, options):
    """The images of the entries, (h, w, 3) float32 each, and their scale factors."""
    ims, scales = [], []
    for entry, target_size in zip(roidb, target_sizes):
        im = read_image(entry["image"])
        if entry["flipped"]:
            im = im[:, ::-1]
        im, scale = prep_im_for_blob(im, options.pixel_means, target_size, options.max_size)
        ims.append(im)
        scales.append(scale)
    return ims, scales


def _scaled(boxes, scale):
    """Boxes times a factor in float32, whatever their dtype."""
    return boxes.astype(np.float32) * np.float32(scale)


def _rpn_blobs(roidb, ims, scales):
    """im_info (N, 3), and gt_boxes (G, 5), with several images (G, 6)."""
    info = [[*im.shape[:2], scale] for im, scale in zip(ims, scales)]
    boxes = []
    for image, (entry, scale) in enumerate(zip(roidb, scales)):
        annotated = np.where(entry["gt_classes"] != 0)[0]
        columns = [_scaled(entry["boxes"][annotated], scale), entry["gt_classes"][annotated, None]]
        if len(roidb) > 1:
            columns.append(np.full((len(annotated), 1), image))
        boxes.append(np.hstack(columns).astype(np.float32))
    return {"im_info": np.array(info, np.float32), "gt_boxes": np.concatenate(boxes)}


def _roi_blobs(entry, image, scale, num_classes, num_images, rng, options):
    """The sampled rois of one image with labels and targets; foreground first."""
    keep, num_fg = sample_rois(torch.from_numpy(np.asarray(entry["max_overlaps"], np.float32)),
                               options.batch_size // num_images, options.fg_fraction,
                               options.fg_thresh, options.bg_thresh, rng)
    keep = keep.numpy()
    labels = entry["max_classes"][keep].astype(np.float32)
    labels[num_fg:] = 0
    rois = _scaled(entry["boxes"][keep], scale)
    blobs = {"rois": np.hstack((np.full((len(keep), 1), image, np.float32), rois)),
             "labels": labels}
    if options.bbox_reg:
        # the class a box is regressed for comes with its target: 0 below TRAIN.BBOX_THRESH
        rows = torch.from_numpy(entry["bbox_targets"][keep].astype(np.float32))
        targets, inside = expand_targets(rows[:, 0], rows[:, 1:], num_classes,
                                         options.inside_weights)
        blobs.update(bbox_targets=targets.numpy(), bbox_inside_weights=inside.numpy(),
                     bbox_outside_weights=(inside > 0).float().numpy())
    return blobs
