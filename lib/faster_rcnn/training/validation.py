"""Validation while a net is trained, at intervals on a held-out split.

A detector is judged by its mean AP, an RPN by the recall of its proposals.
"""
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

import caffe
from caffe.core.errors import UserError
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.detection.detect import test_net
from faster_rcnn.detection.proposals import imdb_proposals
from faster_rcnn.settings.config import cfg, cfg_override

log = logging.getLogger(__name__)


class ValidationError(UserError, ValueError):
    """A net or a split that training cannot be validated with (TRAIN.VAL_NET, TRAIN.VAL_IMDB)."""


class Validation:
    """Tests the weights that are being trained on a split, and keeps track of the best result.

    path: the test net, adapted to the data set; imdb: the split, its proposal method set for a net
    without an RPN; name: of the folder in output/EXP_DIR/<imdb>/ for the detections and figures of
    the last validation; settings: of cfg.TEST, in force while it tests.

    Attributes: measure, the name of what is measured in the curves; best, the highest so far (-inf
    before any); best_iteration; waited, the validations since then.
    """

    measure = "mean_ap"
    _words = "mean AP"

    def __init__(self, path: str, imdb: Any, name: str,
                 settings: Mapping[str, Any] | None = None) -> None:
        self._path, self._imdb, self._name = path, imdb, name
        self._settings = settings or {}
        self._net: caffe.Net | None = None
        self.best, self.best_iteration, self.waited = -np.inf, 0, 0

    def attach(self, trained: caffe.Net) -> None:
        """Shares the weights of the net `trained` from now on."""
        net = caffe.Net(self._path, caffe.TEST)
        absent = [name for name in net.params if name not in trained.params]
        if absent:
            raise ValidationError(
                f"{self._path} has layers that the training net does not have, so that they would "
                f"never learn: {', '.join(absent)} (TRAIN.VAL_NET)")
        net.share_with(trained)
        net.name = self._name
        self._net = net

    def value(self) -> float:
        """The measure of the present weights; regressors must predict plain targets."""
        with cfg_override(TEST=self._settings):
            return self._measured()

    def _measured(self) -> float:
        metrics = test_net(self._net, self._imdb)
        if metrics is None:
            raise self._no_annotations()
        return metrics["mean_ap"]

    def _no_annotations(self) -> ValidationError:
        return ValidationError(f"{self._imdb.name} has no annotations to validate with "
                               "(TRAIN.VAL_IMDB)")

    def note(self, iteration: int, value: float) -> bool:
        """Takes a result; returns whether it is the best so far. NaN (no objects) never is."""
        is_best = value > self.best
        if is_best:
            self.best, self.best_iteration, self.waited = float(value), iteration, 0
        else:
            self.waited += 1
        log.info("iteration %d: %s %.4f on %s; the best was %.4f, at iteration %d", iteration,
                 self._words, value, self._imdb.name, self.best, self.best_iteration)
        return is_best

    @property
    def should_stop(self) -> bool:
        """Whether TRAIN.VAL_PATIENCE validations in a row were no better."""
        return 0 < cfg.TRAIN.VAL_PATIENCE <= self.waited

    def state_dict(self) -> dict[str, np.ndarray]:
        """What `load_state_dict` continues from, as arrays."""
        return {"best": np.array(self.best, np.float64),
                "best_iteration": np.array(self.best_iteration),
                "waited": np.array(self.waited)}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continues from what `state_dict` returned."""
        self.best, self.best_iteration = float(state["best"]), int(state["best_iteration"])
        self.waited = int(state["waited"])


class RecallValidation(Validation):
    """Validates an RPN: the recall of its proposals on a split, as TEST.RPN_* says, which is a mean
    over the overlaps from 0.5 to 1 (AR of Hosang et al. 2015).
    """

    measure = "recall"
    _words = "mean recall"

    def _measured(self) -> float:
        proposals = imdb_proposals(self._net, self._imdb)
        found = self._imdb.evaluate_recall(proposals)
        if not found["num_objects"]:
            raise self._no_annotations()
        return float(found["ar"])


def validation_imdb(trained: Any) -> Any:
    """The data set that TRAIN.VAL_IMDB names; ValidationError where its classes are others than
    those of `trained`, a data set of the training.
    """
    imdb = get_imdb(cfg.TRAIN.VAL_IMDB, "test")
    if list(imdb.classes) != list(trained.classes):
        raise ValidationError(f"{imdb.name} (TRAIN.VAL_IMDB) has other classes than "
                              f"{trained.name}")
    return imdb
