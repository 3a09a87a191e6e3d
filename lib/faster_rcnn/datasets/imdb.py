"""The base of every image data set.

A data set gives images, classes and a roidb: one dict per image, with R boxes and K classes (the
background is class 0),

    boxes        (R, 4)  x1, y1, x2, y2 in pixels of the image, inclusive, from 0; uint16 for
                         annotations, float32 once proposals are among them
    gt_classes   (R,)    int32, class of an annotated box, 0 for a proposal
    gt_overlaps  (R, K)  scipy.sparse CSR float32, overlap with the best annotation, in the column
                         of its class
    seg_areas    (R,)    float32, area of an annotated box in pixels, 0 for a proposal; entries
                         mirrored left to right have none
    flipped      bool    the boxes are those of the image mirrored left to right
    vflipped, transposed  likewise, top to bottom, and with rows and columns exchanged, in this
                         order; only when these options are on

`roi_data_layer.roidb.prepare_roidb` adds what training needs.

Your own data set is a subclass that sets `_classes`, `_image_index` and `_roidb_handler`
(or methods `<name>_roidb` for `set_proposal_method`) and defines `image_path_at` and
`evaluate_detections`.
"""
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from caffe.core.errors import suggest
from faster_rcnn.annotations.problems import report
from faster_rcnn.boxes.cython_bbox import bbox_overlaps
from faster_rcnn.boxes.geometry import mirrored, transposed
from faster_rcnn.datasets.own_classes import DatasetError, clamp_to_images, users_errors
from faster_rcnn.evaluation import recall
from faster_rcnn.images.reading import image_size
from faster_rcnn.settings.config import cfg


class AnnotatedBoxes(NamedTuple):
    """The objects of an image as evaluations see them: boxes (R, 4) float64, classes (R,) int, and
    ignored (R,) bool, whether finding or missing an object counts (difficult ones and crowds).
    """

    boxes: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray


class imdb:
    """An image data set; the module's text describes the roidb. config: options of a subclass."""

    # whether the class has limited its boxes to the images, as cards do
    boxes_are_checked = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._classes: Sequence[str] = []
        self._image_index: list = []
        self._roidb: list[dict] | None = None
        self._roidb_handler: Callable[[], list[dict]] = self.default_roidb
        self.config: dict = {}

    @property
    def name(self) -> str:
        """What results folders and messages call the data set."""
        return self._name

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes; the background is class 0."""
        return self._classes

    @property
    def num_classes(self) -> int:
        """Number of classes with the background."""
        return len(self._classes)

    @property
    def image_index(self) -> list:
        """Ids of the images."""
        return self._image_index

    @property
    def num_images(self) -> int:
        """Number of images; of entries, once mirrored images are appended."""
        return len(self.image_index)

    @property
    def cache_path(self) -> str:
        """DATA_DIR/cache; the folder is made when it does not exist."""
        path = os.path.abspath(os.path.join(cfg.DATA_DIR, "cache"))
        os.makedirs(path, exist_ok=True)
        return path

    @property
    def roidb_handler(self) -> Callable[[], list[dict]]:
        """The function that makes the roidb; setting another one discards the present roidb."""
        return self._roidb_handler

    @roidb_handler.setter
    def roidb_handler(self, handler: Callable[[], list[dict]]) -> None:
        self._roidb_handler = handler
        self._roidb = None

    @property
    def roidb(self) -> list[dict]:
        """The list of entries, made at the first access."""
        if self._roidb is None:
            with users_errors(self.name):
                roidb = self._roidb_handler()
            if roidb is not None and len(roidb) != self.num_images:
                raise DatasetError(f"{self.name}: the roidb has {len(roidb)} entries for "
                                   f"{self.num_images} images; were the proposals made from "
                                   "another image set, or mirrored images appended before?")
            self._roidb = roidb
        return self._roidb

    def set_proposal_method(self, method: str, path: str = "") -> None:
        """Makes the method `<method>_roidb` the source of the roidb.

        path: what it reads, kept as config["proposal_file"]; {imdb} stands for the data set's
        name. "": its usual place.
        """
        handler = getattr(self, f"{method}_roidb", None)
        if handler is None:
            known = sorted(name[:-len("_roidb")] for name in dir(type(self))
                           if name.endswith("_roidb") and name[0] != "_")
            known.remove("default")
            raise DatasetError(f'{self.name} has no proposal method "{method}"'
                               f'{suggest(method, known)}; it has: {", ".join(known) or "none"}')
        self.config["proposal_file"] = path.replace("{imdb}", self.name)
        self.roidb_handler = handler

    def image_path_at(self, i: int) -> str:
        """Path of image i."""
        raise NotImplementedError(f"{type(self).__name__} must define image_path_at")

    def default_roidb(self) -> list[dict]:
        """The roidb while no handler is set."""
        raise NotImplementedError(f"{type(self).__name__} must set roidb_handler or define "
                                  "methods for set_proposal_method")

    def annotated_boxes(self) -> list[AnnotatedBoxes | None]:
        """The annotated objects of every image; None where an annotation cannot be used."""
        gt_roidb = getattr(self, "gt_roidb", None)
        if gt_roidb is None:
            raise NotImplementedError(f"{type(self).__name__} must define gt_roidb")
        annotated: list[AnnotatedBoxes | None] = []
        for entry in gt_roidb():
            overlaps = entry["gt_overlaps"].toarray().reshape(len(entry["boxes"]), -1)
            annotated.append(AnnotatedBoxes(np.asarray(entry["boxes"], np.float64).reshape(-1, 4),
                                            np.asarray(entry["gt_classes"]),
                                            overlaps.max(axis=1, initial=-1) < 0))
        return annotated

    def evaluate_detections(self, all_boxes: Sequence[Sequence[np.ndarray]],
                            output_dir: Any = None) -> Any:
        """Evaluates all_boxes[class][image] = (N, 5) x1, y1, x2, y2, score, or an empty list."""
        raise NotImplementedError(f"{type(self).__name__} must define evaluate_detections")

    def _get_widths(self) -> list[int]:
        return [width for width, _ in self._get_sizes()]

    def _get_sizes(self) -> list[tuple[int, int]]:
        return [image_size(self.image_path_at(i)) for i in range(self.num_images)]

    def clamp_boxes(self, axes: Sequence[int] = (0, 1)) -> None:
        """Clamps annotated boxes that reach beyond their image, with a warning.

        axes: 0 for x, 1 for y.
        """
        if not self.boxes_are_checked:
            report(clamp_to_images(self.roidb, self.image_path_at, axes), self.name)

    def append_flipped_images(self) -> None:
        """Appends an entry per image for the image mirrored left to right; clamps in x."""
        self.clamp_boxes(axes=(0,))
        widths = self._get_widths()
        for i, width in enumerate(widths):
            entry = self.roidb[i]
            self.roidb.append({"boxes": self._mirrored_boxes(entry["boxes"], width, i),
                               "gt_overlaps": entry["gt_overlaps"],
                               "gt_classes": entry["gt_classes"], "flipped": True})
        self._image_index = list(self._image_index) * 2

    def append_vflipped_images(self) -> None:
        """Appends an entry per entry for the image mirrored top to bottom; clamps in y."""
        self.clamp_boxes(axes=(1,))
        for i, (_, height) in enumerate(self._get_sizes()):
            entry = self.roidb[i]
            boxes = self._mirrored_boxes(transposed(entry["boxes"]), height, i, "high")
            self.roidb.append(dict(entry, boxes=transposed(boxes), vflipped=True))
        self._image_index = list(self._image_index) * 2

    def append_transposed_images(self) -> None:
        """Appends an entry per entry for the transposed image; called after the others."""
        self.roidb.extend([dict(entry, boxes=transposed(entry["boxes"]), transposed=True)
                           for entry in self.roidb])
        self._image_index = list(self._image_index) * 2

    def _mirrored_boxes(self, boxes: np.ndarray, width: int, i: int,
                        way: str = "wide") -> np.ndarray:
        """Boxes (R, 4) of image i after mirroring, in their own dtype."""
        wrong = np.where((boxes[:, 2] < boxes[:, 0]) | (boxes[:, 2] >= width))[0]
        if wrong.size and boxes.dtype.kind in "ui":
            raise DatasetError(f"{self.image_path_at(i)}: box {wrong[0] + 1} "
                               f"{boxes[wrong[0]].tolist()} does not lie in the image, which is "
                               f"{width} pixels {way}")
        wide = boxes.astype(np.int64) if boxes.dtype.kind in "ui" else boxes
        return mirrored(wide, width).astype(boxes.dtype)

    def evaluate_recall(self, candidate_boxes: Sequence[np.ndarray] | None = None,
                        thresholds: Sequence[float] | None = None, area: str = "all",
                        limit: int | None = None) -> dict:
        """Recall of candidate boxes (a list of (N, 4) per image; None: the roidb's own proposals).

        area: a range of object sizes, see recall.AREA_RANGES; limit: only the first `limit`
        candidates of an image. Returns a dict: ar (mean recall), recalls and thresholds (T,),
        gt_overlaps (G,), the best overlaps of the objects, sorted, and num_objects, all of them
        (images without candidates add none to gt_overlaps).
        """
        return recall.evaluate(self.roidb, candidate_boxes, thresholds, area, limit)

    def create_roidb_from_box_list(self, box_list: Sequence[np.ndarray],
                                   gt_roidb: list[dict] | None) -> list[dict]:
        """The roidb of proposals, a list of (N, 4) per image; gt_roidb may be None."""
        if len(box_list) != self.num_images:
            raise DatasetError(f"{self.name}: proposals for {len(box_list)} images were given, but "
                               f"the data set has {self.num_images}")
        return [self._proposal_entry(boxes, gt_roidb[i] if gt_roidb is not None else None)
                for i, boxes in enumerate(box_list)]

    def _proposal_entry(self, boxes: np.ndarray, gt_entry: dict | None) -> dict:
        count = boxes.shape[0]
        overlaps = np.zeros((count, self.num_classes), np.float32)
        if gt_entry is not None and gt_entry["boxes"].size and count:
            with_gt = bbox_overlaps(boxes, gt_entry["boxes"])
            best = with_gt.argmax(axis=1)
            values = with_gt.max(axis=1)
            rows = np.where(values > 0)[0]
            overlaps[rows, gt_entry["gt_classes"][best[rows]]] = values[rows]
        return {"boxes": boxes, "gt_classes": np.zeros(count, np.int32),
                "gt_overlaps": scipy.sparse.csr_matrix(overlaps), "flipped": False,
                "seg_areas": np.zeros(count, np.float32)}

    @staticmethod
    def merge_roidbs(a: list[dict], b: list[dict]) -> list[dict]:
        """The entries of `a` with the boxes of `b` behind theirs, image by image."""
        if len(a) != len(b):
            raise DatasetError(f"roidbs of {len(a)} and {len(b)} images cannot be merged")
        return [_merged(first, second) for first, second in zip(a, b)]

    def competition_mode(self, on: bool) -> None:
        """Prepares results files for submission; a data set without such files ignores it."""


def _merged(first: dict, second: dict) -> dict:
    return dict(first,
                boxes=np.vstack((first["boxes"], second["boxes"])),
                gt_classes=np.hstack((first["gt_classes"], second["gt_classes"])),
                gt_overlaps=scipy.sparse.vstack([first["gt_overlaps"], second["gt_overlaps"]]),
                seg_areas=np.hstack((first["seg_areas"], second["seg_areas"])))
