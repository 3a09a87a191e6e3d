"""One training by one solver, on one data set or several: checked, recorded, resumable.

What tools/train_net.py runs: joint training, Fast R-CNN, any net whose first layer is RoIDataLayer.
"""
import logging
import os
import time
from dataclasses import dataclass
from typing import Optional

from caffe.files import prototxt
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.datasets.imdb import imdb as ImageDatabase
from faster_rcnn.files.atomic import file_hash
from faster_rcnn.networks.store import find, find_solver
from faster_rcnn.prototxts.solver_files import (
    Numbers,
    adapt_net,
    adapt_solver,
    check_weights,
)
from faster_rcnn.runs.fingerprint import data_hash, proposals_hash, settings_hash
from faster_rcnn.runs.manifest import Manifest
from faster_rcnn.settings.config import cfg, get_output_dir
from faster_rcnn.training.solver_wrapper import file_stem, get_training_roidb, train_net
from faster_rcnn.training.validation import Validation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What the user chooses."""

    solver: str
    imdb_names: str             # names joined by +
    weights: Optional[str]      # None: the net starts as its fillers say
    numbers: Numbers = Numbers()
    resume: bool = False


def run_training(options):
    """Trains, or finds that it was done before; returns the path of the last snapshot.

    Everything is written to output/EXP_DIR/<imdb>[+<imdb> ...]: the snapshots, the adapted solver
    and net in <prefix>_prototxts, and the record <prefix>_train.json, which a resumed run reads.
    Prototxts, data sets and initial weights are all checked before anything is trained.
    """
    imdbs = load_imdbs(options.imdb_names)
    output_dir = get_output_dir(ImageDatabase("+".join(imdb.name for imdb in imdbs)))
    log.info("Output will be saved to `%s`", output_dir)
    source = find_solver(options.solver, cfg.ROOT_DIR)
    stem = os.path.join(output_dir, file_stem(prototxt.read_solver(source)))
    solver = adapt_solver(source, f"{stem}_prototxts", imdbs[0].num_classes,
                          options.numbers)
    if options.weights is not None:
        check_weights(options.weights, solver.net, options.solver)
    validation = _validation(source, stem, imdbs[0])
    inputs = _inputs(options, imdbs, solver)
    manifest = Manifest(f"{stem}_train.json", keep=options.resume)
    hindrance = manifest.difference("train", inputs)
    if hindrance is None:
        log.info("The training is done already")
        return manifest.output("train")
    started_alike = "train" in manifest.steps and not manifest.changed_inputs("train", inputs)
    if options.resume and not started_alike:
        log.info("The training starts from the beginning (%s)", hindrance)
    manifest.begin("train", inputs)
    start, figures = time.time(), {"iterations": solver.iterations}
    paths = train_net(solver.path, combined_roidb(imdbs), output_dir,
                      pretrained_model=options.weights, max_iters=solver.iterations,
                      resume=started_alike, figures=figures, validation=validation)
    manifest.finish("train", paths[-1], {**figures, "seconds": round(time.time() - start, 1)})
    return paths[-1]


def load_imdbs(names):
    """The data sets of "a+b+c"; ValueError unless they have the same classes."""
    imdbs = [get_imdb(name) for name in names.split("+")]
    for imdb in imdbs[1:]:
        if list(imdb.classes) != list(imdbs[0].classes):
            raise ValueError(f"{imdbs[0].name} and {imdb.name} cannot be joined: their classes "
                             f"differ ({', '.join(imdbs[0].classes)}; {', '.join(imdb.classes)})")
    return imdbs


def combined_roidb(imdbs):
    """The training entries of data sets, one after the other, mirrored ones behind each set's."""
    roidb = []
    for imdb in imdbs:
        log.info("Loaded dataset `%s` for training", imdb.name)
        imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD, cfg.TRAIN.PROPOSAL_FILE)
        log.info("Set proposal method: %s", cfg.TRAIN.PROPOSAL_METHOD)
        roidb += get_training_roidb(imdb)
    log.info("%d roidb entries", len(roidb))
    return roidb


def _validation(solver, stem, trained):
    """The Validation that TRAIN.VAL_IMDB asks for, or None; trained: a data set of the training."""
    if not cfg.TRAIN.VAL_IMDB:
        return None
    if cfg.TRAIN.VAL_ITERS < 1:
        raise ValueError(f"TRAIN.VAL_ITERS must be positive; it is {cfg.TRAIN.VAL_ITERS}")
    imdb = get_imdb(cfg.TRAIN.VAL_IMDB)
    if list(imdb.classes) != list(trained.classes):
        raise ValueError(f"{imdb.name} (TRAIN.VAL_IMDB) has other classes than {trained.name}")
    source = cfg.TRAIN.VAL_NET or os.path.join(os.path.dirname(solver), "test.prototxt")
    source = find(source, cfg.ROOT_DIR, "the test net to validate with (TRAIN.VAL_NET)")
    if not cfg.TEST.HAS_RPN:
        imdb.set_proposal_method(cfg.TEST.PROPOSAL_METHOD, cfg.TEST.PROPOSAL_FILE)
    net = adapt_net(source, f"{stem}_prototxts", imdb.num_classes)
    return Validation(net.path, imdb, f"{os.path.basename(stem)}_validation")


def _inputs(options, imdbs, solver):
    """A hash per input of the training."""
    return {"weights": None if options.weights is None else file_hash(options.weights),
            "prototxt": solver.hash, "iterations": solver.iterations,
            "data": [data_hash(imdb) for imdb in imdbs],
            "proposals": [proposals_hash(imdb, cfg.TRAIN.PROPOSAL_METHOD, cfg.TRAIN.PROPOSAL_FILE)
                          for imdb in imdbs],
            "settings": settings_hash(cfg, "TRAIN")}
