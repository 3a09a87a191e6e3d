"""Data sets described by a card, whatever the format of their annotations."""
import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
import scipy.sparse

from faster_rcnn.annotations.check import UNKNOWN, UNUSABLE, AnnotationChecker, CheckedObject
from faster_rcnn.annotations.problems import Notes, Problem, report
from faster_rcnn.datasets.cards import Card
from faster_rcnn.datasets.imdb import AnnotatedBoxes, imdb
from faster_rcnn.datasets.proposal_sources import ProposalSources

log = logging.getLogger(__name__)


class card_imdb(ProposalSources):
    """A split of the data set on a card (`datasets.cards.Card`), named <card>_<split>.

    A subclass calls __init__, sets `_image_index`, and defines image_path_at, has_annotations,
    _check_all and evaluate_detections. `problems` and `notes` hold what was found wrong or
    unusual.

    config: use_diff (train on objects marked difficult), and those of ProposalSources.
    """

    boxes_are_checked = True

    def __init__(self, card: Card, split: str, classes: Sequence[str]) -> None:
        imdb.__init__(self, f"{card.name}_{split}")
        self.card = card
        self._image_set = split
        self._classes = ("__background__", *classes)
        self._class_to_ind = {name.lower(): i for i, name in enumerate(self._classes)}
        self._checked: dict | None = None
        self.problems: list[Problem] = []
        self.notes: Notes = {}
        self._left_out: Counter = Counter()
        self.config = {"use_diff": False, "rpn_file": None, "min_size": 2, "top_k": 2000}
        self.set_proposal_method("selective_search")

    # ------------------------------------------------------------------------------- annotations

    def _check_all(self, checker: AnnotationChecker) -> dict:
        """What checked_annotations returns, made with an AnnotationChecker."""
        raise NotImplementedError(f"{type(self).__name__} must define _check_all")

    def checked_annotations(self) -> dict[object, list[CheckedObject] | None]:
        """{image id: [CheckedObject, ...]}, or None for an image whose annotation cannot be used.

        Read at the first call, when everything wrong with them is reported.
        """
        if self._checked is None:
            checker = AnnotationChecker(
                {name: i for name, i in self._class_to_ind.items() if i}, self.card)
            self._checked = self._check_all(checker)
            report(checker.problems, self.name, checker.notes)
            self.problems += checker.problems
            self.notes = checker.notes
            self._left_out = checker.left_out
        return self._checked

    def gt_roidb(self) -> list[dict]:
        """The annotated boxes; an image whose annotation cannot be used has none."""
        checked = self.checked_annotations()
        roidb = [self._annotation_entry(checked[index] or ()) for index in self._image_index]
        if not any((entry["gt_overlaps"].data > 0).any() for entry in roidb):
            log.warning("%s: no box is left to train on: %s", self.name, self.left_out())
        return roidb

    def annotated_boxes(self) -> list[AnnotatedBoxes | None]:
        """As imdb.annotated_boxes, with the objects that gt_roidb leaves out as difficult."""
        checked = self.checked_annotations()
        return [None if objects is None else AnnotatedBoxes(
                    np.array([obj.box for obj in objects], np.float64).reshape(-1, 4),
                    np.array([obj.class_index for obj in objects], int),
                    np.array([obj.difficult or obj.crowd for obj in objects], bool))
                for objects in (checked[index] for index in self._image_index)]

    def left_out(self) -> str:
        """What became of the objects that are not trained on, in words."""
        objects = [obj for found in self.checked_annotations().values() for obj in found or ()]
        difficult = 0 if self.config["use_diff"] else sum(obj.difficult for obj in objects)
        crowds = sum(obj.crowd for obj in objects)
        return (f"{difficult} objects are difficult, {crowds} crowds, "
                f"{self._left_out[UNKNOWN]} {UNKNOWN}, {self._left_out[UNUSABLE]} {UNUSABLE}")

    def _annotation_entry(self, objects: Sequence[CheckedObject]) -> dict:
        objects = [obj for obj in objects if self.config["use_diff"] or not obj.difficult]
        boxes = np.array([obj.box for obj in objects], np.int64).reshape(-1, 4)
        classes = np.array([obj.class_index for obj in objects], np.int32)
        overlaps = np.zeros((len(objects), self.num_classes), np.float32)
        overlaps[np.arange(len(objects)), classes] = 1
        # crowds are examples of no class; py-faster-rcnn: coco.py, _load_coco_annotation
        overlaps[np.array([obj.crowd for obj in objects], bool)] = -1
        fits = boxes.max(initial=0) <= np.iinfo(np.uint16).max
        areas = [obj.area for obj in objects]
        return {"boxes": boxes.astype(np.uint16 if fits else np.int32), "gt_classes": classes,
                "gt_overlaps": scipy.sparse.csr_matrix(overlaps), "flipped": False,
                "seg_areas": np.array(areas, np.float32)}

    def _with_annotations(self, box_list: list[np.ndarray]) -> list[dict]:
        """Images whose annotation cannot be used get no proposals: all would count as background.
        """
        if self.has_annotations:
            checked = self.checked_annotations()
            box_list = [boxes if checked[index] is not None else boxes[:0]
                        for boxes, index in zip(box_list, self._image_index)]
        return super()._with_annotations(box_list)
