"""Plain functions: anchors, boxes, suppression, image scaling, configuration."""
import json
import os

import numpy as np

from fast_rcnn.nms_wrapper import nms
from faster_rcnn.boxes.cpu_nms import cpu_nms
from faster_rcnn.boxes.cython_bbox import bbox_overlaps
from faster_rcnn.boxes.nms import py_cpu_nms
from faster_rcnn.boxes.transform import bbox_transform, bbox_transform_inv, clip_boxes
from faster_rcnn.images.blob import im_list_to_blob, prep_im_for_blob
from faster_rcnn.settings.config import cfg, cfg_from_file, cfg_from_list
from golden_pfr import check, near
from rpn.generate_anchors import generate_anchors


@check("generate_anchors")
def check_anchors(case):
    options = {} if case.meta["defaults"] else {
        "base_size": int(case["in_base_size"]), "scales": case["in_scales"],
        "ratios": case["in_ratios"]}
    near(generate_anchors(**options), case["out_anchors"], 1e-9)


@check("bbox_transform")
def check_encoding(case):
    got = bbox_transform(case["in_ex_rois"], case["in_gt_rois"])
    near(got, case["out_targets"], *case.tolerance)
    assert got.dtype == case["in_gt_rois"].dtype


@check("bbox_transform_inv")
def check_decoding(case):
    got = bbox_transform_inv(case["in_boxes"], case["in_deltas"])
    near(got, case["out_boxes"], *case.tolerance)
    near(clip_boxes(got, case["in_im_shape"].tolist()), case["out_clipped"], *case.tolerance)


@check("clip_boxes")
def check_clipping(case):
    near(clip_boxes(case["in_boxes"], case["in_im_shape"].tolist()), case["out_boxes"])


@check("bbox_overlaps")
def check_overlaps(case):
    near(bbox_overlaps(case["in_boxes"], case["in_query_boxes"]), case["out_overlaps"], 1e-12)


@check("nms")
def check_suppression(case):
    # overlaps of just the threshold: the rule of the CPU version
    exact = case.meta["family"] == "exact_threshold"
    for percent in (30, 50, 70):
        want = case[f"out_keep_{'cpu_' if exact else ''}{percent}"].tolist()
        for function in (nms, cpu_nms, py_cpu_nms):
            assert list(function(case["in_dets"], percent / 100)) == want, function


@check("prep_im_for_blob")
def check_image_scaling(case):
    meta = case.meta
    if meta["family"] == "im_list_to_blob":
        images = [case[f"in_im{i}"] for i in range(meta["n"])]
        return near(im_list_to_blob(images), case["out_blob"])
    im, scale = prep_im_for_blob(case["in_im"], np.array([[meta["pixel_means"]]]),
                                 meta["target_size"], meta["max_size"])
    assert scale == case["out_im_scale"] and im.dtype == np.float32
    near(im, case["out_im"], 2e-3)


@check("config")
def check_config(case):
    if "in_yaml" in case:
        path = os.path.join(cfg.ROOT_DIR, "options.yml")
        with open(path, "wb") as file:
            file.write(case["in_yaml"].item())
        cfg_from_file(path)
    elif "list" in case.meta:
        cfg_from_list(case.meta["list"])
    _same_options(cfg, json.loads(str(case["out_cfg_json"])))


def _same_options(got, want):
    for key, value in want.items():
        if isinstance(value, dict):
            _same_options(got[key], value)
        else:
            assert type(got[key]) is not list, key
            found = np.asarray(got[key]).tolist()
            assert found == value and isinstance(found, bool) == isinstance(value, bool), key
