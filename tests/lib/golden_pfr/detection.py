"""Test time: image and roi blobs, im_detect, test_net, apply_nms, with a net that answers."""
import cv2
import numpy as np

import fast_rcnn.test as detection
from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.settings.config import cfg
from golden_pfr import check, near


class Blob:
    """As much of a blob as im_detect touches."""

    def __init__(self):
        self.data = np.zeros(0, np.float32)

    def reshape(self, *shape):
        self.data = np.zeros(shape, np.float32)


class AnsweringNet:
    """Keeps what it is fed; answer(fed, call number, blobs) gives the outputs."""

    name = "answering"

    def __init__(self, answer):
        self.blobs = {name: Blob() for name in ("data", "im_info", "rois", "cls_score")}
        self.answer, self.calls = answer, 0

    def forward(self, **inputs):
        for name, value in inputs.items():
            assert self.blobs[name].data.shape == value.shape, f"{name} was not reshaped"
            self.blobs[name].data = np.asarray(value, np.float32)
        self.calls += 1
        return self.answer(inputs, self.calls - 1, self.blobs)


class Listed(imdb):
    """An image database of files."""

    def __init__(self, classes, paths):
        super().__init__("golden")
        self._classes, self.paths = classes, paths
        self._image_index = [str(i) for i in range(len(paths))]

    def image_path_at(self, i):
        return self.paths[i]

    def evaluate_detections(self, all_boxes, output_dir=None):
        return all_boxes


@check("get_image_blob")
def check_image_blob(case):
    blob, scales = detection._get_image_blob(case.image(0))
    near(scales, case["out_im_scales"], 1e-9)
    near(blob.shape, case["out_data_shape"])
    blob = blob.astype(np.float64)
    for k, (y, x) in enumerate(case["in_crop_yx"]):
        crop = blob[:, :, y:y + 16, x:x + 16]
        near(crop, case["out_data_crops"][k][:, :, :crop.shape[2], :crop.shape[3]], 3e-3)
    near(blob.mean((2, 3)), case["out_data_mean"], 1e-3)
    near(blob.std((2, 3)), case["out_data_std"], 1e-3)


@check("get_rois_blob")
def check_rois_blob(case):
    got = detection._get_rois_blob(case["in_rois"], case["in_scales"])
    near(got, case["out_rois_blob"], *case.tolerance)


@check("im_detect")
def check_im_detect(case):
    def answer(fed, call, blobs):
        if cfg.TEST.HAS_RPN:
            near(fed["data"].shape, case.meta["fed_data_shape"])
            near(fed["im_info"], case["out_fed_im_info"], 1e-4)
            blobs["rois"].data = case["in_net_rois"].copy()
        else:
            near(fed["rois"], case["out_fed_rois"], 1e-3)
        if "in_cls_score" in case:
            blobs["cls_score"].data = case["in_cls_score"].copy()
        return {"cls_prob": case["in_cls_prob"].copy(), "bbox_pred": case["in_bbox_pred"].copy()}

    im = np.zeros((*case["in_im_shape"].tolist(), 3), np.uint8)
    boxes = None if cfg.TEST.HAS_RPN else case["in_boxes"]
    scores, boxes = detection.im_detect(AnsweringNet(answer), im, boxes)
    near(scores, case["out_scores"])
    near(boxes, case["out_boxes"], *case.tolerance)


@check("apply_nms")
def check_apply_nms(case):
    meta = case.meta
    dets = [[case[f"in_c{c}_i{i}"] for i in range(meta["num_images"])]
            for c in range(meta["num_classes"])]
    _same_detections(case, detection.apply_nms(dets, meta["thresh"]))


@check("test_net")
def check_test_net(case):
    meta = case.meta

    def answer(fed, call, blobs):
        blobs["rois"].data = case[f"in_{call}_rois"].copy()
        return {name: case[f"in_{call}_{name}"].copy() for name in ("cls_prob", "bbox_pred")}

    path = cfg.ROOT_DIR + "/blank.png"
    cv2.imwrite(path, np.zeros(meta["im_shape"], np.uint8))
    database = Listed([f"c{c}" for c in range(meta["num_classes"])], [path] * meta["num_images"])
    options = {} if meta["family"] == "default" else {
        "max_per_image": meta["max_per_image"], "thresh": meta["thresh"]}
    _same_detections(case, detection.test_net(AnsweringNet(answer), database, **options))


def _same_detections(case, all_boxes):
    for c in range(case.meta["num_classes"]):
        for i in range(case.meta["num_images"]):
            dets = np.reshape(all_boxes[c][i], (-1, 5))
            near(dets, case[f"out_c{c}_i{i}"], *case.tolerance, what=f"class {c}, image {i}")
