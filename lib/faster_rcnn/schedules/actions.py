"""What the steps of a schedule do: train a net, make proposals, measure statistics.

Each action takes the Work of its step and returns the path of its output and figures for the
record.
"""
import gc
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import caffe
from caffe.core.errors import UserError
from faster_rcnn.anchors.statistics import anchor_target_statistics
from faster_rcnn.detection.proposals import imdb_proposals
from faster_rcnn.files import safe_pickle
from faster_rcnn.files.atomic import write_json
from faster_rcnn.runs import processes
from faster_rcnn.schedules.tables import Kind
from faster_rcnn.settings.config import cfg
from faster_rcnn.training.train_net import train_net
from faster_rcnn.training.training_images import get_training_roidb
from faster_rcnn.training.validation import Validation

log = logging.getLogger(__name__)

Result = tuple[str, dict[str, Any]]     # path of the output, figures


class StatisticsError(UserError, ValueError):
    """A file that does not hold the statistics of an RPN's targets."""


@dataclass(frozen=True)
class Work:
    """What a step works with: paths, and a data set of its own."""

    net_name: str
    output_dir: str
    prototxt: str                   # the adapted solver, or test net
    imdb: Any
    weights: str
    proposals: str | None = None
    iterations: int = 0             # of a training
    continues: bool = False         # a training: at its checkpoint
    validation: Validation | None = None


def train(work: Work) -> Result:
    """Trains a net; the output is its last snapshot."""
    log.info("Init model: %s", work.weights)
    roidb = _training_roidb(work)
    figures: dict[str, Any] = {"iterations": work.iterations}
    paths = train_net(work.prototxt, roidb, work.output_dir, pretrained_model=work.weights,
                      max_iters=work.iterations, resume=work.continues, figures=figures,
                      validation=work.validation)
    if processes.is_first():
        for path in paths[:-1]:
            os.remove(path)
    _free_memory()
    return paths[-1], figures


def _training_roidb(work: Work) -> list[dict]:
    imdb = work.imdb
    log.debug("Loaded dataset `%s` for training", imdb.name)
    if work.proposals:
        imdb.config["rpn_file"] = work.proposals
        log.debug("RPN proposals: %s", work.proposals)
    imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD)
    log.debug("Set proposal method: %s", cfg.TRAIN.PROPOSAL_METHOD)
    roidb = get_training_roidb(imdb)
    log.info("roidb len: %d", len(roidb))
    return roidb


def measure_statistics(work: Work) -> Result:
    """Writes the statistics of the RPN's targets: <NET>_anchor_statistics.json."""
    work.imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD)
    log.info("Loaded dataset `%s` for the statistics of anchor targets", work.imdb.name)
    means, stds = anchor_target_statistics(work.prototxt, work.imdb)
    log.debug("anchor target means:\n%s\nanchor target stdevs:\n%s", means, stds)
    path = os.path.join(work.output_dir, f"{work.net_name}_anchor_statistics.json")
    if processes.is_first():
        write_json(path, {"means": means.tolist(), "stds": stds.tolist()})
    return path, {"images": work.imdb.num_images}


def read_statistics(path: str) -> dict[str, list[float]]:
    """The settings (of cfg.TRAIN) in a file of `measure_statistics`."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return {"RPN_NORMALIZE_MEANS": found["means"], "RPN_NORMALIZE_STDS": found["stds"]}
    except (ValueError, LookupError, TypeError) as error:
        raise StatisticsError(f"{path} does not hold the statistics of an RPN's targets ({error}); "
                              "remove it") from None


def generate_proposals(work: Work) -> Result:
    """Writes the proposals for the training images: <weights>_proposals.pkl."""
    return _generate(work, "")


def generate_test_proposals(work: Work) -> Result:
    """Writes the proposals for the test images: <weights>_test_proposals.pkl."""
    return _generate(work, "_test")


def _generate(work: Work, infix: str) -> Result:
    log.info("RPN model: %s", work.weights)
    log.debug("Loaded dataset `%s` for proposal generation", work.imdb.name)
    net = caffe.Net(work.prototxt, work.weights, caffe.TEST)
    proposals = imdb_proposals(net, work.imdb, shared=True)
    del net
    _free_memory()
    path = f"{os.path.splitext(work.weights)[0]}{infix}_proposals.pkl"
    if proposals is None:
        return path, {}         # rank 0 writes them
    write_proposals(path, proposals)
    return path, {"images": len(proposals), "proposals": sum(map(len, proposals))}


def write_proposals(path: str, proposals: Sequence[np.ndarray]) -> None:
    """Writes a list over images of (R, 4) float32 boxes, in the original's form (a pickle)."""
    safe_pickle.dump([np.asarray(boxes, dtype=np.float32) for boxes in proposals], path)
    log.info("Wrote RPN proposals to %s", path)


def _free_memory() -> None:
    """Frees the nets of a finished step: gigabytes, in reference cycles."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


ACTIONS: dict[Kind, Callable[[Work], Result]] = {
    Kind.TRAINING: train, Kind.PROPOSALS: generate_proposals,
    Kind.TEST_PROPOSALS: generate_test_proposals, Kind.STATISTICS: measure_statistics}
