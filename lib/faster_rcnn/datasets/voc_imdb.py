"""Data sets described by a card that are evaluated as VOC: in its layout, or as lists of pictures.
"""
import os
import uuid
from collections.abc import Sequence

import numpy as np

from faster_rcnn.annotations.check import UNLABELLED, AnnotationChecker, CheckedObject
from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.datasets.card_imdb import card_imdb
from faster_rcnn.datasets.cards import Card
from faster_rcnn.datasets.samples.listed import ListedSample, read_listed
from faster_rcnn.datasets.samples.voc_files import Sample, read_split
from faster_rcnn.evaluation import voc_results
from faster_rcnn.images.reading import ImageError, image_size


class voc_imdb(card_imdb):
    """A split of a card of any format but coco.

    config, beside card_imdb's: cleanup (remove the results files after the evaluation) and
    use_salt (a unique text in their names).
    """

    def __init__(self, card: Card, split: str) -> None:
        card_imdb.__init__(self, card, split, card.classes)
        samples: Sequence[Sample | ListedSample]
        samples, self.problems = (read_listed if card.is_listed else read_split)(card, split)
        self._samples = {sample.image_id: sample for sample in samples}
        self._image_index = list(self._samples)
        self._salt = str(uuid.uuid4())
        self._comp_id = "comp4"
        self.config.update(cleanup=True, use_salt=True)

    def image_path_at(self, i: int) -> str:
        """Path of image i; ImageError when it is missing."""
        return self.image_path_from_index(self._image_index[i])

    def image_path_from_index(self, index: str) -> str:
        """Path of the image with an id."""
        return self._samples[index].required_image_path(self.card.image_ext)

    # ------------------------------------------------------------------------------- annotations

    @property
    def has_annotations(self) -> bool:
        """False for a test set whose annotations are kept secret."""
        return any(sample.has_annotation() for sample in self._samples.values())

    def _check_all(self, checker: AnnotationChecker) -> dict:
        return {sample.image_id: self._read(checker, sample) for sample in self._samples.values()}

    def _read(self, checker: AnnotationChecker,
              sample: Sample | ListedSample) -> list[CheckedObject] | None:
        """The usable objects of one image, or None."""
        path = sample.image_path(self.card.image_ext)
        try:
            size = image_size(path) if path else None
            annotation = sample.annotation(size)
        except AnnotationError as error:
            checker.unreadable(error)
            return None
        except ImageError as error:
            checker.unreadable(AnnotationError(f"{path}: {error}"))
            return None
        if path and self.card.format == "yolo" and not sample.has_annotation():
            checker.unusual(UNLABELLED, path)
            return []
        return checker.check(annotation, size, path)

    # -------------------------------------------------------------------------------- evaluation

    def _get_comp_id(self) -> str:
        return f"{self._comp_id}_{self._salt}" if self.config["use_salt"] else self._comp_id

    def _get_results_folder(self, output_dir: str) -> str:
        """The folder of the results files."""
        return os.path.join(output_dir, "results")

    def _get_voc_results_file_template(self, output_dir: str) -> str:
        """Path of the results file of a class, with {:s} for its name."""
        name = f"{self._get_comp_id()}_det_{self._image_set}_{{:s}}.txt"
        return os.path.join(self._get_results_folder(output_dir), name)

    def evaluate_detections(self, all_boxes: Sequence[Sequence[np.ndarray]],
                            output_dir: str = "output") -> dict | None:
        """Writes results files; prints and returns average precisions, see voc_results.evaluate.

        all_boxes[class][image]: (N, 5) x1, y1, x2, y2, score, from 0, or an empty list.
        """
        template = self._get_voc_results_file_template(output_dir)
        voc_results.write_results(template, self.classes, self.image_index, all_boxes)
        self._results_template = template
        metrics = self._do_python_eval(output_dir)
        if self.config["cleanup"]:
            for name in self.classes[1:]:
                os.remove(voc_results.class_file(template, name))
        return metrics

    def _do_python_eval(self, output_dir: str = "output") -> dict | None:
        return voc_results.evaluate(self, self._results_template, output_dir)

    def competition_mode(self, on: bool) -> None:
        """When on, results files have plain names and are kept."""
        self.config["use_salt"] = not on
        self.config["cleanup"] = not on
