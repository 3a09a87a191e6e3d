"""Linear SVMs in place of a detector's class scores, trained after the net as R-CNN's were.

Girshick 2015, Fast R-CNN, section 5.4; the algorithm and all constants are those of
py-faster-rcnn's tools/train_svms.py. A class' positives are its annotated boxes; its negatives are
proposals that overlap none of its objects by NEGATIVE_IOU and score too high (hard negatives),
collected image after image while the SVMs are retrained and easy ones are dropped.
"""
import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

import caffe
from caffe.core.errors import UserError
from faster_rcnn.detection.detect import im_detect
from faster_rcnn.files.read_ahead import read_ahead
from faster_rcnn.images.reading import read_image
from faster_rcnn.settings.config import cfg, cfg_override

log = logging.getLogger(__name__)

Classifier = tuple[np.ndarray, float]       # w (D,) and b

C = 0.001                   # weight of the hinge losses against |w|^2 / 2
INTERCEPT_SCALING = 10.0    # the bias is regularised as b / INTERCEPT_SCALING
POSITIVE_WEIGHT = 2.0       # of a positive's loss
HARD_SCORE = -1.0001        # a negative that scores above is hard
EVICT_SCORE = -1.1          # a negative that scores below, after training, is forgotten
RETRAIN_LIMIT = 2000        # new negatives after which a class is trained again
NEGATIVE_IOU = 0.3
FEATURE_NORM = 20.0         # mean length of the features after scaling
SCALE_IMAGES = 100          # images that the scale is measured on


class SVMError(UserError, ValueError):
    """A net or a data set that SVMs cannot be trained with."""


class ClassSVM:
    """The examples of one class and their SVM; features are rows (N, D), not yet scaled."""

    def __init__(self, name: str, feature_scale: float) -> None:
        self.name = name
        self.feature_scale = feature_scale
        self.positives: list[np.ndarray] = []
        self.negatives: list[np.ndarray] = []
        self._new_negatives = 0

    def add_positives(self, features: np.ndarray) -> None:
        """Takes features of annotated boxes."""
        self.positives.append(features)

    def add_negatives(self, features: np.ndarray) -> Classifier | None:
        """Takes features of hard negatives; returns (w, b) where that made it train, else None."""
        self.negatives.append(features)
        self._new_negatives += len(features)
        return self.train() if self._new_negatives > RETRAIN_LIMIT else None

    def train(self) -> Classifier | None:
        """Fits the SVM and drops easy negatives.

        Returns w (D,) and b for unscaled features, or None without positives or negatives.
        """
        if not self.positives or not self.negatives:
            log.warning("class %s has no %s: its scores stay 0", self.name,
                        "negatives" if self.positives else "annotated boxes")
            return None
        self._new_negatives = 0
        positives, negatives = np.vstack(self.positives), np.vstack(self.negatives)
        self.positives = [positives]
        weights, bias, scores = _fit(positives, negatives, self.feature_scale)
        hard = scores[len(positives):] >= EVICT_SCORE
        self.negatives = [negatives[hard] if hard.any() else negatives]
        log.info("%s: trained on %d positives and %d negatives, of which %d are kept; %d and %d "
                 "lie within the margin", self.name, len(positives), len(negatives),
                 len(self.negatives[0]),
                 (scores[:len(positives)] <= 1).sum(), (scores[len(positives):] >= -1).sum())
        return weights, bias


def _fit(positives: np.ndarray, negatives: np.ndarray,
         feature_scale: float) -> tuple[np.ndarray, float, np.ndarray]:
    """w (D,) and b of an SVM for unscaled features, and the scores (P + N,) of the examples."""
    features = np.vstack((positives, negatives)) * feature_scale
    labels = np.repeat((1, -1), (len(positives), len(negatives)))
    svm = LinearSVC(C=C, class_weight={1: POSITIVE_WEIGHT, -1: 1},
                    intercept_scaling=INTERCEPT_SCALING, penalty="l2", loss="hinge", dual=True,
                    random_state=cfg.RNG_SEED)
    with warnings.catch_warnings():     # as exact as the original's after its 1000 passes
        warnings.simplefilter("ignore", ConvergenceWarning)
        svm.fit(features, labels)
    return (svm.coef_.ravel() * feature_scale, float(svm.intercept_[0]),
            svm.decision_function(features))


class SVMTrainer:
    """Replaces the weights of `cls_score` in a test net without an RPN by trained SVMs.

    imdb: its roidb holds annotations and proposals. Features are what cls_score takes, fc7.
    """

    def __init__(self, net: caffe.Net, imdb: Any) -> None:
        if cfg.TEST.HAS_RPN:
            raise SVMError("SVMs are trained on given proposals, with a net that has no RPN: set "
                           "TEST.HAS_RPN False (--cfg, --set)")
        if "cls_score" not in net.params:
            raise SVMError("the net has no layer cls_score, whose weights the SVMs replace")
        self.net, self.imdb = net, imdb
        self._blob = net.bottom_names["cls_score"][0]

    def train(self) -> None:
        """Three passes over images: the features' scale, the positives, the negatives."""
        # every roi needs a row of its own, and what im_detect returns must be the SVMs' scores
        with cfg_override(DEDUP_BOXES=0.0, TEST={"SVM": True}):
            scale = self._feature_scale()
            svms = [ClassSVM(name, scale) for name in self.imdb.classes]
            for values in self.net.params["cls_score"]:
                values.data[...] = 0
            self._add_positives(svms)
            self._add_hard_negatives(svms)
            for k, svm in list(enumerate(svms))[1:]:
                self._install(k, svm.train())

    def _install(self, k: int, trained: Classifier | None) -> None:
        """Writes (w, b) into row k of cls_score, unless they are None."""
        if trained is not None:
            weights, biases = self.net.params["cls_score"]
            weights.data[k], biases.data[k] = trained

    def _images(self, indices: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (index, image) of entries of the roidb, read ahead and mirrored where they are."""
        def load(i: int) -> tuple[int, np.ndarray]:
            im = read_image(self.imdb.image_path_at(i))
            return i, im[:, ::-1] if self.imdb.roidb[i]["flipped"] else im
        return read_ahead(load, indices)

    def _features(self, im: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (R, K) and features (R, D) of boxes (R, 4)."""
        scores, _ = im_detect(self.net, im, boxes)
        return scores, self.net.blobs[self._blob].data.copy()

    def _feature_scale(self) -> float:
        """The factor that scales the features' mean length to FEATURE_NORM, from random images."""
        usable = [i for i, entry in enumerate(self.imdb.roidb) if len(entry["boxes"])]
        if not usable:
            raise SVMError(f"{self.imdb.name} has no boxes to train on")
        chosen = np.random.choice(usable, min(SCALE_IMAGES, len(usable)), replace=False)
        lengths = [np.linalg.norm(self._features(im, self.imdb.roidb[i]["boxes"])[1], axis=1)
                   for i, im in self._images(chosen)]
        mean = np.concatenate(lengths).mean()
        if not mean > 0:
            raise SVMError(f"the features {self._blob} are all 0; are these the net's weights?")
        log.info("Feature scale: %.3f, from %d images", FEATURE_NORM / mean, len(chosen))
        return FEATURE_NORM / mean

    def _add_positives(self, svms: list[ClassSVM]) -> None:
        roidb = self.imdb.roidb
        for i, im in self._images([i for i, entry in enumerate(roidb) if _objects(entry).any()]):
            rows = _objects(roidb[i])
            classes = roidb[i]["gt_classes"][rows]
            _, features = self._features(im, roidb[i]["boxes"][rows])
            for k in np.unique(classes):
                svms[k].add_positives(features[classes == k])
        for svm in svms[1:]:
            log.info("class %s has %d positives", svm.name, sum(map(len, svm.positives)))

    def _add_hard_negatives(self, svms: list[ClassSVM]) -> None:
        roidb = self.imdb.roidb
        usable = [i for i, entry in enumerate(roidb) if len(entry["boxes"])]
        for count, (i, im) in enumerate(self._images(usable), 1):
            scores, features = self._features(im, roidb[i]["boxes"])
            overlaps = roidb[i]["gt_overlaps"].toarray()
            hard = (scores > HARD_SCORE) & (overlaps < NEGATIVE_IOU) & (overlaps >= 0)
            for k, svm in enumerate(svms):
                if k and svm.positives and hard[:, k].any():
                    self._install(k, svm.add_negatives(features[hard[:, k]]))
            log.info("train_svms: %d/%d", count, len(usable))


def _objects(entry: dict) -> np.ndarray:
    """Rows (R,) bool of an entry's annotated boxes, without crowds, whose overlaps are -1."""
    return (entry["gt_classes"] > 0) & (entry["gt_overlaps"].max(axis=1).toarray().ravel() > 0)
