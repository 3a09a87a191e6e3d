"""Data sets whose annotations are COCO files, described by a card."""
import os
import uuid
from collections.abc import Sequence

import numpy as np
import pycocotools.mask
import scipy.sparse

from caffe.core.errors import suggest
from faster_rcnn.annotations.check import UNKNOWN, AnnotationChecker
from faster_rcnn.annotations.coco_json import (
    CocoAnnotation,
    CocoFile,
    CocoImage,
    CocoObject,
    read_coco,
)
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.annotations.problems import Problem, report
from faster_rcnn.boxes.rows import xyxy_to_xywh
from faster_rcnn.datasets.card_imdb import card_imdb
from faster_rcnn.datasets.cards import Card, CardError
from faster_rcnn.datasets.samples.coco_lists import listed_images
from faster_rcnn.datasets.samples.pictures import PictureIndex, coco_image_paths
from faster_rcnn.datasets.samples.voc_files import left_out_images
from faster_rcnn.evaluation import coco_results
from faster_rcnn.images.reading import ImageError, image_fault, image_size


class coco_imdb(card_imdb):
    """A split of a card whose format is coco; image ids are those of the file.

    config, beside card_imdb's: cleanup (remove the results file after the evaluation), use_salt (a
    unique text in its name) and crowd_thresh (proposals with more than this share of their area in
    a crowd are not trained on). category_ids: {class index: the file's id}.
    """

    def __init__(self, card: Card, split: str) -> None:
        path, image_folder = card.coco_files(split)
        if not os.path.isdir(card.roots[0]):
            raise CardError(f"data set {card.name}: the folder {card.roots[0]} does not exist; put "
                            f"or link the data there")
        if not os.path.isfile(path):
            raise CardError(f"data set {card.name}: split {split} needs {path}, which does not "
                            "exist")
        self._file = read_coco(path)
        self._paths = coco_image_paths(PictureIndex(image_folder), (
            image.file_name for image in self._file.images.values()))
        card_imdb.__init__(self, card, split, card.classes or _all_classes(card, self._file))
        self.category_ids = {self._class_to_ind[name.lower()]: number
                              for number, name in self._file.categories.items()
                              if name.lower() in self._class_to_ind}
        self._require_common_class()
        self._image_index = self._usable_images(split)
        self._salt = str(uuid.uuid4())
        self.config.update(cleanup=True, use_salt=True, crowd_thresh=0.7)

    def _require_common_class(self) -> None:
        if not self.category_ids:
            raise CardError(f"data set {self.card.name}: none of the classes on the card is a "
                            f"category of {self._file.path}, which has "
                            f"{', '.join(self._file.categories.values()) or 'none'}")

    def _usable_images(self, split: str) -> list[int]:
        """Ids of the images whose files are there; ids of all when no file is."""
        if not self._file.images:
            raise CardError(f"data set {self.card.name}: {self._file.path} names no image")
        images, problems = listed_images(self.card, split, self._file)
        faults = {}
        for image in images:
            path = self._path(image)
            fault = image_fault(path)
            if fault:
                faults[image.id] = (path, f"image of split {split} {fault}")
        problems += self._file.problems
        if len(faults) < len(images):
            problems += left_out_images(self.card, faults.values())
        else:
            faults = {}
        self.problems = problems
        report(problems, self.name)
        return [image.id for image in images if image.id not in faults]

    def _path(self, image: CocoImage) -> str:
        return self._paths[image.file_name]

    def image_path_at(self, i: int) -> str:
        """Path of image i; ImageError when it is missing."""
        return self.image_path_from_index(self._image_index[i])

    def image_path_from_index(self, index: int) -> str:
        """Path of the image with an id."""
        path = self._path(self._file.images[index])
        if not os.path.exists(path):
            raise ImageError(f"image {path}, which {self._file.path} names, is not there")
        return path

    # ------------------------------------------------------------------------------- annotations

    @property
    def has_annotations(self) -> bool:
        """False for a test set, whose file lists only images."""
        return self._file.objects is not None

    def _check_all(self, checker: AnnotationChecker) -> dict:
        if not self.has_annotations:
            return {number: None for number in self._image_index}
        foreign, annotated = self._foreign_categories(checker), self._file.objects or {}
        checked = {}
        for number in self._image_index:
            image = self._file.images[number]
            objects = tuple(obj for obj in annotated[number]
                            if obj.category_id not in foreign)
            path = self.image_path_from_index(number)
            checked[number] = checker.check(
                CocoAnnotation(self._file.path, image, objects), image_size(path), path)
        return checked

    def _foreign_categories(self, checker: AnnotationChecker) -> set[int]:
        """Ids of the file's categories that the card does not name; each is a problem."""
        foreign = {number: name for number, name in self._file.categories.items()
                   if name.lower() not in self._class_to_ind}
        counts = dict.fromkeys(foreign, 0)
        for objects in (self._file.objects or {}).values():
            for obj in objects:
                if obj.category_id in counts:
                    counts[obj.category_id] += 1
        for number, count in counts.items():
            rule = (f'"{foreign[number]}" is missing on the data set\'s card'
                    f"{suggest(foreign[number].lower(), list(checker.class_index))}")
            if count and self.card.on_unknown_class == "error":
                raise AnnotationError(f"{self._file.path}: category {rule}; add it to the classes, "
                                      "or set on_unknown_class: skip")
            checker.left_out[UNKNOWN] += count
            if count:
                checker.problems.append(Problem(self._file.path, "category", rule,
                                                f"its {count} annotations are skipped"))
        return set(foreign)

    def _with_annotations(self, box_list: list[np.ndarray]) -> list[dict]:
        roidb = card_imdb._with_annotations(self, box_list)
        for entry in roidb:
            _leave_out_crowded(entry, self.config["crowd_thresh"])
        return roidb

    # -------------------------------------------------------------------------------- evaluation

    def _results_file(self, output_dir: str) -> str:
        salt = f"_{self._salt}" if self.config["use_salt"] else ""
        return os.path.join(output_dir, f"detections_{self._results_name()}_results{salt}.json")

    def _results_name(self) -> str:
        """The split's name in the names of results files."""
        return self._image_set

    def evaluate_detections(self, all_boxes: Sequence[Sequence[np.ndarray]],
                            output_dir: str = "output") -> dict | None:
        """Writes the results file; prints and returns COCO's metrics, see coco_results.evaluate.

        all_boxes[class][image]: (N, 5) x1, y1, x2, y2, score, from 0, or an empty list. Without
        annotations the results file is kept, and None returned.
        """
        os.makedirs(output_dir, exist_ok=True)
        path = self._results_file(output_dir)
        results = coco_results.detections(all_boxes, self._image_index, self.category_ids)
        coco_results.write_results(path, results)
        metrics = coco_results.evaluate(self, results, output_dir)
        if self.config["cleanup"] and metrics is not None:
            os.remove(path)
        return metrics

    def annotated_objects(self) -> list[tuple[int, CocoObject]]:
        """(class index, CocoObject) of all annotations that evaluations count."""
        class_of = {number: index for index, number in self.category_ids.items()}
        return [(class_of[obj.category_id], obj) for number in self._image_index
                for obj in (self._file.objects or {}).get(number, ())
                if obj.category_id in class_of and obj.box is not None
                and np.isfinite(obj.box).all()]

    def competition_mode(self, on: bool) -> None:
        """When on, the results file has a plain name and is kept."""
        self.config["use_salt"] = not on
        self.config["cleanup"] = not on


def _all_classes(card: Card, file: CocoFile) -> tuple[str, ...]:
    """The categories of the training split, so that every split has the same classes."""
    path = card.coco_files(card.train)[0]
    training = read_coco(path) if os.path.isfile(path) else file
    return tuple(training.categories.values())


def _leave_out_crowded(entry: dict, thresh: float) -> None:
    """Gives proposals that lie in a crowd the overlap -1: neither objects nor background.

    py-faster-rcnn: coco.py, _filter_crowd_proposals.
    """
    overlaps = entry["gt_overlaps"].toarray()
    crowds = np.where(overlaps.max(axis=1) < 0)[0]
    proposals = np.where(entry["gt_classes"] == 0)[0]
    if not crowds.size or not proposals.size:
        return
    boxes = xyxy_to_xywh(entry["boxes"].astype(np.float64))
    inside = pycocotools.mask.iou(boxes[proposals], boxes[crowds], [1] * len(crowds))
    overlaps[proposals[inside.max(axis=1) > thresh]] = -1
    entry["gt_overlaps"] = scipy.sparse.csr_matrix(overlaps)
