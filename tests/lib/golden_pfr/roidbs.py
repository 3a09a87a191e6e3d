"""Roidbs and minibatches. Draws come from the same generator in the same order as in the record."""
import collections
import os
import tempfile

import cv2
import numpy as np
import scipy.sparse
from listed_images import ListedImages, black_images

from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.minibatches.minibatch import get_minibatch
from faster_rcnn.minibatches.order import ImageOrder
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets, prepare_roidb
from faster_rcnn.training.training_images import filter_roidb
from golden_pfr import check, near

BLOBS = {"im_info": 1e-4, "gt_boxes": 1e-3, "rois": 1e-3, "labels": 0, "bbox_targets": 1e-6,
         "bbox_inside_weights": 0, "bbox_outside_weights": 0}        # name: tolerance


def listed_images(folder, sizes, roidb):
    """Black images of given sizes (width, height) with a roidb of three classes."""
    return ListedImages(black_images(folder, sizes), roidb, ("__background__", "a", "b", "c"))


def entry_of(case, prefix, num_classes=4):
    """The roidb entry of the arrays <prefix>_*; overlaps are given, or those of max_*, or of gt."""
    entry = {key[len(prefix) + 1:]: value for key, value in case.items()
             if key.startswith(prefix + "_")}
    overlaps = entry.get("gt_overlaps")
    if overlaps is None:
        overlaps = np.zeros((len(entry["boxes"]), num_classes), np.float32)
        classes = entry.get("max_classes", entry.get("gt_classes"))
        overlaps[np.arange(len(classes)), classes] = entry.get("max_overlaps", 1)
    return {**entry, "gt_overlaps": scipy.sparse.csr_matrix(overlaps), "flipped": False}


def compare_entry(case, prefix, entry):
    """The arrays <prefix>_* must be those of the entry."""
    wanted = {name: value for name, value in case.items() if name.startswith(prefix + "_")}
    assert wanted, prefix
    for name, value in wanted.items():
        got = entry[name[len(prefix) + 1:]]
        got = got.toarray() if scipy.sparse.issparse(got) else np.asarray(got)
        near(got, value, 0 if value.dtype.kind in "iub" else case.tolerance[0], what=name)
        assert value.dtype.kind != "u" or got.dtype == value.dtype


@check("roidb")
def check_roidb(case):
    family = case.meta["family"]
    with tempfile.TemporaryDirectory() as folder:
        if family.startswith("append_flipped"):
            check_mirroring(case, folder)
        elif family == "chain":
            check_chain(case, folder)
        elif family.startswith("recall"):
            check_recall(case, folder)
        elif family == "filter":
            check_filter(case)
        else:
            check_targets(case)


def check_mirroring(case, folder):
    roidb = [entry_of(case, f"in_{i}") for i in range(case.meta["n"])]
    data_set = listed_images(folder, [(width, 2) for width in case.meta["widths"]], roidb)
    data_set.append_flipped_images()
    assert len(data_set.roidb) == case.meta["n_out"]
    for i, entry in enumerate(data_set.roidb):
        compare_entry(case, f"out_{i}", entry)


def check_chain(case, folder):
    sizes = case.meta["image_sizes_wh"]
    gt = [entry_of(case, f"in_gt{i}") for i in range(3)]
    listed = listed_images(folder, sizes, gt).create_roidb_from_box_list(
        [case[f"in_list{i}"] for i in range(3)], gt)
    merged = imdb.merge_roidbs(gt, listed)
    data_set = listed_images(folder, sizes, merged)
    for i in range(3):
        compare_entry(case, f"out_list{i}", listed[i])
        compare_entry(case, f"out_merged{i}", merged[i])
    prepare_roidb(data_set)
    for i in range(3):
        compare_entry(case, f"out_prepared{i}", data_set.roidb[i])


def check_recall(case, folder):
    n = case.meta["n"]
    data_set = listed_images(folder, [(1, 1)] * n, [entry_of(case, f"in_{i}") for i in range(n)])
    boxes = [case[f"in_cand{i}"] for i in range(n)] if "in_cand0" in case else None
    prefixes = [f"out_{setting}_" for setting in case.meta.get("settings", [])] or ["out_"]
    for prefix in prefixes + ["out_custom_"] * ("in_thresholds" in case):
        area, _, limit = prefix[4:].rstrip("_").partition("_limit")
        options = {"area": area.replace("to", "-"), "limit": int(limit) if limit else None}
        if prefix in ("out_", "out_custom_"):
            options = {"thresholds": case["in_thresholds"]} if prefix != "out_" else {}
        got = data_set.evaluate_recall(boxes, **options)
        recorded = [key for key in got if prefix + key in case]
        assert "ar" in recorded
        for key in recorded:
            near(got[key], case[prefix + key], 1e-6, what=prefix + key)


def check_filter(case):
    roidb = [{"number": i, "max_overlaps": case[f"in_{i}_max_overlaps"]}
             for i in range(case.meta["n"])]
    assert [entry["number"] for entry in filter_roidb(roidb)] == case["out_kept"].tolist()


def check_targets(case):
    roidb = [entry_of(case, f"in_{i}", case.meta["num_classes"]) for i in range(case.meta["n"])]
    means, stds = add_bbox_regression_targets(roidb)
    near(means, case["out_means"], 1e-5)
    near(stds, case["out_stds"], 1e-5)
    for i, entry in enumerate(roidb):
        near(entry["bbox_targets"], case[f"out_{i}_bbox_targets"], *case.tolerance)


@check("get_minibatch")
def check_minibatch(case):
    meta, roidb = case.meta, []
    with tempfile.TemporaryDirectory() as folder:
        for i, image in enumerate(meta["images"]):
            path = os.path.join(folder, f"{i}.png")
            cv2.imwrite(path, case.image(i))
            roidb.append({**entry_of(case, f"in_{i}", meta["num_classes"]), "image": path,
                          "flipped": image["flipped"]})
        np.random.seed(meta["seed"])
        blobs = get_minibatch(roidb, meta["num_classes"])
    data = blobs.pop("data")
    assert data.shape == tuple(case["out_data_shape"])
    near(data.mean((2, 3), np.float64), case["out_data_mean"], 1e-3)
    near(data.std((2, 3), np.float64), case["out_data_std"], 1e-3)
    for crop, (y, x) in zip(case["out_data_crops"], case["in_crop_yx"]):
        got = data[:, :, y:y + 16, x:x + 16]
        near(got, crop[:, :, :got.shape[2], :got.shape[3]], 3e-3)
    assert set(blobs) == {name for name in BLOBS if "out_" + name in case}
    for name, blob in blobs.items():
        assert blob.dtype == np.float32
        near(blob, case["out_" + name], BLOBS[name], what=name)


@check("data_layer")
def check_order(case):
    train, sizes = case.meta["cfg_overrides"]["TRAIN"], case["in_widths_heights"]
    wide, per = sizes[:, 0] >= sizes[:, 1], train["IMS_PER_BATCH"]
    grouped = train["ASPECT_GROUPING"]
    order = ImageOrder(len(sizes), per, 1, wide if grouped else None)
    minibatches = -(-len(sizes) // per) - 1        # the last images of an epoch are left out
    epochs = [np.concatenate([order.next()[0] for _ in range(minibatches)]) for _ in range(6)]
    for epoch in epochs:
        assert collections.Counter(epoch.tolist()).most_common(1)[0][1] == 1
        mixed = sum(wide[a] != wide[b] for a, b in zip(epoch[0::2], epoch[1::2]))
        assert not grouped or mixed <= wide.sum() % 2
    assert len({epoch.tobytes() for epoch in epochs}) > 1
