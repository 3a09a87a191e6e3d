"""Data sets in VOC layout, described by a card."""
import os
import uuid

import numpy as np
import scipy.io
import scipy.sparse

from datasets import ds_utils, voc_results
from datasets.annotation_check import AnnotationChecker, report
from datasets.imdb import imdb
from datasets.voc_files import read_split
from datasets.voc_xml import AnnotationError, read_annotation
from fast_rcnn.config import cfg
from utils import safe_pickle
from utils.images import ImageError, image_size


class voc_imdb(imdb):
    """A split of the data set on a card (`datasets.cards.Card`), named <card>_<split>.

    config: use_diff (train on objects marked difficult), rpn_file (proposals of `rpn_roidb`),
    min_size (smallest side of selective search boxes), cleanup (remove the results files after
    the evaluation) and use_salt (a unique text in their names).
    """

    def __init__(self, card, split):
        imdb.__init__(self, f"{card.name}_{split}")
        self.card = card
        self._image_set = split
        self._classes = ("__background__", *card.classes)
        self._class_to_ind = {name.lower(): i for i, name in enumerate(self._classes)}
        self._samples = {sample.image_id: sample for sample in read_split(card, split)}
        self._image_index = list(self._samples)
        self._salt = str(uuid.uuid4())
        self._comp_id = "comp4"
        self._checked = None
        self.config = {"cleanup": True, "use_salt": True, "use_diff": False, "rpn_file": None,
                       "min_size": 2}
        self.set_proposal_method("selective_search")

    def image_path_at(self, i):
        """Path of image i; ImageError when it is missing."""
        return self.image_path_from_index(self._image_index[i])

    def image_path_from_index(self, index):
        """Path of the image with an id."""
        return self._samples[index].required_image_path(self.card.image_ext)

    # ------------------------------------------------------------------------------- annotations

    @property
    def has_annotations(self):
        """False for a test set whose annotations are kept secret."""
        return any(os.path.exists(sample.annotation_path) for sample in self._samples.values())

    def checked_annotations(self):
        """{image id: [CheckedObject, ...]}, or None for an image whose annotation cannot be used.

        Read at the first call, when everything wrong with them is reported.
        """
        if self._checked is None:
            checker = AnnotationChecker(
                {name: i for name, i in self._class_to_ind.items() if i},
                self.card.on_bad_box, self.card.on_unknown_class)
            self._checked = {sample.image_id: self._read(checker, sample)
                             for sample in self._samples.values()}
            report(checker.problems, self.name)
        return self._checked

    def _read(self, checker, sample):
        """The usable objects of one image, or None."""
        path = sample.image_path(self.card.image_ext)
        try:
            annotation = read_annotation(sample.annotation_path)
            size = image_size(path) if path else None
        except AnnotationError as error:
            checker.unreadable(error)
            return None
        except ImageError as error:
            checker.unreadable(AnnotationError(f"{path}: {error}"))
            return None
        return checker.check(annotation, size)

    def gt_roidb(self):
        """The annotated boxes; an image whose annotation cannot be used has none."""
        checked = self.checked_annotations()
        return [self._annotation_entry(checked[index] or ()) for index in self._image_index]

    def _annotation_entry(self, objects):
        objects = [thing for thing in objects if self.config["use_diff"] or not thing.difficult]
        boxes = np.array([thing.box for thing in objects], np.int64).reshape(-1, 4)
        classes = np.array([thing.class_index for thing in objects], np.int32)
        overlaps = np.zeros((len(objects), self.num_classes), np.float32)
        overlaps[np.arange(len(objects)), classes] = 1
        fits = boxes.max(initial=0) <= np.iinfo(np.uint16).max
        areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
        return {"boxes": boxes.astype(np.uint16 if fits else np.int32), "gt_classes": classes,
                "gt_overlaps": scipy.sparse.csr_matrix(overlaps), "flipped": False,
                "seg_areas": areas.astype(np.float32)}

    # --------------------------------------------------------------------------------- proposals

    def rpn_roidb(self):
        """Annotated boxes and the proposals in the file config["rpn_file"]."""
        path = self.config["rpn_file"]
        if path is None:
            raise ValueError(f'{self.name}: set config["rpn_file"] to a proposals file '
                             "(tools/rpn_generate.py) before using rpn_roidb")
        if not os.path.isfile(path):
            raise FileNotFoundError(f"the proposals file {path} does not exist; "
                                    "tools/rpn_generate.py makes one")
        return self._with_annotations(safe_pickle.load(path))

    def selective_search_roidb(self):
        """Annotated boxes and those in DATA_DIR/selective_search_data/<name>.mat."""
        path = os.path.join(os.path.abspath(cfg.DATA_DIR), "selective_search_data",
                            self.name + ".mat")
        if not os.path.isfile(path):
            raise FileNotFoundError(f"the selective search boxes {path} do not exist; "
                                    "data/README.md says where they come from")
        box_list = []
        for matlab in scipy.io.loadmat(path)["boxes"].ravel():
            # MATLAB's order is y1, x1, y2, x2, 1-based
            boxes = matlab[:, (1, 0, 3, 2)].astype(np.float32) - 1
            boxes = boxes[ds_utils.unique_boxes(boxes)]
            box_list.append(boxes[ds_utils.filter_small_boxes(boxes, self.config["min_size"])])
        return self._with_annotations(box_list)

    def _with_annotations(self, box_list):
        """The roidb of proposals behind the annotations, where there are any.

        Images whose annotation cannot be used get none: all would count as background.
        """
        if not self.has_annotations:
            return self.create_roidb_from_box_list(box_list, None)
        gt_roidb, checked = self.gt_roidb(), self.checked_annotations()
        if len(box_list) == len(self._image_index):
            box_list = [np.asarray(boxes).reshape(-1, 4) if checked[index] is not None
                        else np.zeros((0, 4), np.float32)
                        for boxes, index in zip(box_list, self._image_index)]
        return self.merge_roidbs(gt_roidb, self.create_roidb_from_box_list(box_list, gt_roidb))

    # -------------------------------------------------------------------------------- evaluation

    def _get_comp_id(self):
        return f"{self._comp_id}_{self._salt}" if self.config["use_salt"] else self._comp_id

    def _get_results_folder(self, output_dir):
        """Where the results files go."""
        return os.path.join(output_dir, "results")

    def _get_voc_results_file_template(self, output_dir):
        """Path of the results file of a class, with {:s} for its name."""
        name = f"{self._get_comp_id()}_det_{self._image_set}_{{:s}}.txt"
        return os.path.join(self._get_results_folder(output_dir), name)

    def evaluate_detections(self, all_boxes, output_dir="output"):
        """Writes results files; prints and returns average precisions, see voc_results.evaluate.

        all_boxes[class][image]: (N, 5) x1, y1, x2, y2, score, from 0, or an empty list.
        """
        template = self._get_voc_results_file_template(output_dir)
        voc_results.write_results(template, self.classes, self.image_index, all_boxes)
        self._results_template = template
        metrics = self._do_python_eval(output_dir)
        if self.config["cleanup"]:
            for name in self.classes[1:]:
                os.remove(template.format(name))
        return metrics

    def _do_python_eval(self, output_dir="output"):
        return voc_results.evaluate(self, self._results_template, output_dir)

    def competition_mode(self, on):
        """On: plain names for the results files, and they are kept."""
        self.config["use_salt"] = not on
        self.config["cleanup"] = not on
