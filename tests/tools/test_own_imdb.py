"""A data set class as users of the original write them, put beside the others in factory.py."""
import os
import pickle

import numpy as np
import pytest
import scipy.sparse
from handful import MODEL, places

from faster_rcnn.datasets import factory
from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.evaluation.voc_eval import parse_rec, voc_eval


class Cells(imdb):
    """One image set of a folder in VOC's layout."""

    def __init__(self, image_set, devkit_path):
        imdb.__init__(self, "cells_" + image_set)
        self._image_set, self._data_path = image_set, devkit_path
        self._classes = ("__background__", "dark", "light")
        self._class_to_ind = dict(zip(self.classes, range(self.num_classes)))
        with open(os.path.join(self._data_path, "ImageSets", "Main", image_set + ".txt")) as f:
            self._image_index = [line.strip() for line in f]
        self._roidb_handler = self.gt_roidb
        self.config = {"rpn_file": None}

    def image_path_at(self, i):
        return os.path.join(self._data_path, "JPEGImages", self._image_index[i] + ".jpg")

    def gt_roidb(self):
        cache_file = os.path.join(self.cache_path, self.name + "_gt_roidb.pkl")
        if not os.path.exists(cache_file):
            with open(cache_file, "wb") as f:
                pickle.dump([self._annotation(index) for index in self.image_index], f)
        with open(cache_file, "rb") as f:
            return pickle.load(f)

    def rpn_roidb(self):
        gt_roidb = self.gt_roidb()
        with open(self.config["rpn_file"], "rb") as f:
            box_list = pickle.load(f)
        return imdb.merge_roidbs(gt_roidb, self.create_roidb_from_box_list(box_list, gt_roidb))

    def _annotation(self, index):
        objects = parse_rec(os.path.join(self._data_path, "Annotations", index + ".xml"))
        boxes = np.zeros((len(objects), 4), dtype=np.uint16)
        gt_classes = np.zeros((len(objects)), dtype=np.int32)
        overlaps = np.zeros((len(objects), self.num_classes), dtype=np.float32)
        seg_areas = np.zeros((len(objects)), dtype=np.float32)
        for ix, obj in enumerate(objects):
            x1, y1, x2, y2 = [float(value) - 1 for value in obj["bbox"]]
            boxes[ix, :] = [x1, y1, x2, y2]
            gt_classes[ix] = self._class_to_ind[obj["name"]]
            overlaps[ix, gt_classes[ix]] = 1.0
            seg_areas[ix] = (x2 - x1 + 1) * (y2 - y1 + 1)
        return {"boxes": boxes, "gt_classes": gt_classes, "flipped": False,
                "gt_overlaps": scipy.sparse.csr_matrix(overlaps), "seg_areas": seg_areas}

    def evaluate_detections(self, all_boxes, output_dir):
        for cls_ind, name in enumerate(self.classes):
            if name == "__background__":
                continue
            template = os.path.join(output_dir, "det_{:s}.txt")
            with open(template.format(name), "wt") as f:
                for im_ind, index in enumerate(self.image_index):
                    for det in all_boxes[cls_ind][im_ind]:
                        f.write("{:s} {:.3f} {:.1f} {:.1f} {:.1f} {:.1f}\n".format(
                            index, det[-1], det[0] + 1, det[1] + 1, det[2] + 1, det[3] + 1))
            _, _, ap = voc_eval(
                template, os.path.join(self._data_path, "Annotations", "{:s}.xml"),
                os.path.join(self._data_path, "ImageSets", "Main", self._image_set + ".txt"),
                name, output_dir, ovthresh=0.5, use_07_metric=True)
            print("AP for {} = {:.4f}".format(name, ap))


@pytest.fixture
def cells(handful, monkeypatch):
    sets = dict(vars(factory)["__sets"])
    for split in ("trainval", "test"):
        sets["cells_" + split] = (lambda split=split: Cells(split, os.path.dirname(handful.card)))
    monkeypatch.setattr(factory, "__sets", sets)


def test_trained_by_turns_tested_and_judged_again(cells, run_tool, handful, tmp_path):
    done = run_tool("train_faster_rcnn_alt_opt.py", "--cpu", "--net_name", "Tiny", "--weights",
                    handful.weights, "--imdb", "cells_trainval", "--iters", "1", "--scale", "120",
                    "--set", *places(tmp_path))
    assert done.status == 0, done.err
    output = tmp_path / "output" / "default"
    final = output / "cells_trainval" / "Tiny_faster_rcnn_final.caffemodel"
    assert f"Final model: {final}" in done.out
    done = run_tool("test_net.py", "--cpu", "--def", os.path.join(MODEL, "faster_rcnn_test.pt"),
                    "--net", final, "--imdb", "cells_test", "--scale", "120", "--det_thresh", "0",
                    "--set", "TEST.HAS_RPN", "True", *places(tmp_path))
    assert done.status == 0, done.err
    assert "AP for dark = " in done.out and "im_detect: 3/3 " in done.out
    again = run_tool("reval.py", output / "cells_test" / "Tiny_faster_rcnn_final", "--imdb",
                     "cells_test", "--nms", "--set", *places(tmp_path))
    assert again.status == 0, again.err
    assert "AP for light = " in again.out


def test_it_is_listed_and_found(cells):
    assert "cells_test" in factory.list_imdbs()
    assert factory.get_imdb("cells_test").num_images == 3
