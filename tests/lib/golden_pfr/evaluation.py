"""VOC annotations, results files, average precision, snapshots."""
import os
import pathlib
import tempfile
import types

import numpy as np
import scipy.sparse

from faster_rcnn.datasets.pascal_voc import pascal_voc
from faster_rcnn.evaluation.voc_eval import voc_ap, voc_eval
from faster_rcnn.training.solver_wrapper import SolverWrapper
from golden_pfr import check, near
from golden_pfr.roidbs import compare_entry

VOC_NAMES = ("aeroplane", "bicycle", "bird")        # the first classes, in place of the record's


def text_of(case, key):
    return case[key].item().decode()


def make_devkit(folder, image_ids, image_set):
    """A devkit without annotations; returns the folder of those."""
    root = pathlib.Path(folder, "VOC2007")
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    names = "".join(f"{image_id}\n" for image_id in image_ids)
    (root / "ImageSets" / "Main" / f"{image_set}.txt").write_text(names)
    return root / "Annotations"


@check("gt_roidb")
def check_annotations(case):
    classes, ids = case.meta["classes"], [f"{i:06d}" for i in range(case.meta["n"])]
    with tempfile.TemporaryDirectory() as folder:
        annotations = make_devkit(folder, ids, "some")
        for i, image_id in enumerate(ids):
            text = text_of(case, f"in_{i}_xml")
            for old, new in zip(classes[1:], VOC_NAMES):
                text = text.replace(f"<name>{old}</name>", f"<name>{new.title()}</name>")
            (annotations / f"{image_id}.xml").write_text(text)
        data_set = pascal_voc("some", "2007", folder)
        data_set.config["use_diff"] = case.meta["use_diff"]
        for i, entry in enumerate(data_set.gt_roidb()):
            overlaps = scipy.sparse.csr_matrix(entry["gt_overlaps"].toarray()[:, :len(classes)])
            compare_entry(case, f"out_{i}", {**entry, "gt_overlaps": overlaps})


@check("voc_eval")
def check_evaluation(case):
    name = case.meta["classname"]
    with tempfile.TemporaryDirectory() as folder:
        for i, image_id in enumerate(case.meta["image_ids"]):
            pathlib.Path(folder, f"{image_id}.xml").write_text(text_of(case, f"in_xml_{i}"))
        pathlib.Path(folder, "set.txt").write_text("\n".join(case.meta["image_ids"]))
        pathlib.Path(folder, f"det_{name}.txt").write_text(text_of(case, "in_det_text"))
        paths = [os.path.join(folder, part) for part in ("det_{:s}.txt", "{:s}.xml", "set.txt")]
        for thresh in case.meta["ovthresh"]:
            for metric in ("voc07", "area"):
                got = voc_eval(*paths, name, folder, thresh, metric == "voc07")
                iou = f"iou{round(100 * thresh)}"
                for key, value in zip((f"rec_{iou}", f"prec_{iou}", f"ap_{iou}_{metric}"), got):
                    near(value, case["out_" + key], 1e-9, what=key)


@check("voc_ap")
def check_average_precision(case):
    for metric in ("voc07", "area"):
        got = voc_ap(case["in_rec"], case["in_prec"], metric == "voc07")
        near(got, case[f"out_ap_{metric}"], 1e-9)


@check("results_file")
def check_results_files(case):
    ids, count = case.meta["image_ids"], len(case.meta["classes"])
    with tempfile.TemporaryDirectory() as folder:
        make_devkit(folder, ids, "test")
        data_set = pascal_voc("test", "2007", folder)
        data_set.competition_mode(True)
        boxes = [[case[f"in_dets_c{c}_i{i}"] if 0 < c < count else [] for i in range(len(ids))]
                 for c in range(data_set.num_classes)]
        data_set.evaluate_detections(boxes, os.path.join(folder, "out"))
        results = pathlib.Path(folder, "results", "VOC2007", "Main")
        for c in range(1, count):
            got = (results / f"comp4_det_test_{data_set.classes[c]}.txt").read_text()
            assert got == text_of(case, f"out_text_c{c}")


@check("snapshot")
def check_snapshot(case):
    """The file holds plain targets' weights, the net keeps its own; on a stand-in for the
    solver.
    """
    saved = {}
    blobs = [types.SimpleNamespace(data=case["in_" + key].copy()) for key in ("weight", "bias")]

    def save(path):
        saved.update(name=os.path.basename(path), blobs=[blob.data.copy() for blob in blobs])

    net = types.SimpleNamespace(params={"bbox_pred": blobs}, save=save)
    wrapper = SolverWrapper.__new__(SolverWrapper)
    iteration = int(case.meta["file_name"].split("_iter_")[1].split(".")[0])
    wrapper.solver = types.SimpleNamespace(iter=iteration, net=net)
    wrapper.solver_param = types.SimpleNamespace(snapshot_prefix="zf_faster_rcnn")
    wrapper.bbox_means, wrapper.bbox_stds = case["in_means"], case["in_stds"]
    with tempfile.TemporaryDirectory() as wrapper.output_dir:
        wrapper.snapshot()
    assert saved["name"] == case.meta["file_name"]
    for i, key in enumerate(("weight", "bias")):
        near(saved["blobs"][i], case["out_" + key], 1e-8, case.meta["tol_rel"], what=key)
        near(blobs[i].data, case["in_" + key], what=key + " afterwards")
    assert np.isfinite(saved["blobs"][0]).all()
