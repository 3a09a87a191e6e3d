"""Validation while a net is trained: mean AP on a held-out split at intervals."""
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

import caffe
from caffe.core.errors import UserError
from faster_rcnn.detection.detect import test_net
from faster_rcnn.settings.config import cfg

log = logging.getLogger(__name__)


class ValidationError(UserError, ValueError):
    """A net or a split that training cannot be validated with (TRAIN.VAL_NET, TRAIN.VAL_IMDB)."""


class Validation:
    """Tests the weights that are being trained on a split, and keeps track of the best result.

    path: the test net, adapted to the data set; imdb: the split, its proposal method set for a net
    without an RPN; name: of the folder in output/EXP_DIR/<imdb>/ for the detections and figures of
    the last validation.

    Attributes: best, the highest mean AP so far (-inf before any); best_iteration; waited, the
    validations since then.
    """

    def __init__(self, path: str, imdb: Any, name: str) -> None:
        self._path, self._imdb, self._name = path, imdb, name
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

    def mean_ap(self) -> float:
        """Mean AP of the present weights; bbox_pred must predict plain targets."""
        metrics = test_net(self._net, self._imdb)
        if metrics is None:
            raise ValidationError(f"{self._imdb.name} has no annotations to validate with "
                                  "(TRAIN.VAL_IMDB)")
        return metrics["mean_ap"]

    def note(self, iteration: int, mean_ap: float) -> bool:
        """Takes a result; returns whether it is the best so far. NaN (no objects) never is."""
        is_best = mean_ap > self.best
        if is_best:
            self.best, self.best_iteration, self.waited = float(mean_ap), iteration, 0
        else:
            self.waited += 1
        log.info("iteration %d: mean AP %.4f on %s; the best was %.4f, at iteration %d", iteration,
                 mean_ap, self._imdb.name, self.best, self.best_iteration)
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
