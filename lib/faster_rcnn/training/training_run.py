"""One training by one solver, on one data set or several: checked, recorded, resumable.

What tools/train_net.py runs: joint training, Fast R-CNN, any net whose first layer is RoIDataLayer.
"""
import dataclasses
import logging
import os
import time
from dataclasses import dataclass
from typing import Any

from caffe.core.errors import UserError
from caffe.files import prototxt
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.files.atomic import file_hash
from faster_rcnn.networks.store import find, find_solver
from faster_rcnn.prototxts.solver_files import (
    AdaptedNet,
    AdaptedSolver,
    Numbers,
    adapt_net,
    adapt_solver,
    check_weights,
)
from faster_rcnn.runs import processes
from faster_rcnn.runs.fingerprint import data_hash, proposals_hash, settings_in_force
from faster_rcnn.runs.lock import RunLock, sweep
from faster_rcnn.runs.manifest import Manifest
from faster_rcnn.settings.config import cfg, results_dir
from faster_rcnn.training.described import describe_training
from faster_rcnn.training.numbers import fitting_numbers
from faster_rcnn.training.solver_check import check_solver
from faster_rcnn.training.solver_wrapper import file_stem
from faster_rcnn.training.train_net import train_net
from faster_rcnn.training.training_images import get_training_roidb
from faster_rcnn.training.validation import Validation, validation_imdb

log = logging.getLogger(__name__)


class ClassesDifferError(UserError, ValueError):
    """Data sets that cannot be trained on together."""


@dataclass(frozen=True)
class TrainingOptions:
    """What the user chooses for one training."""

    solver: str
    imdb_names: str             # names joined by +
    weights: str | None         # None: the net is filled by its fillers
    numbers: Numbers = Numbers()
    resume: bool = False
    epochs: float | None = None     # instead of iterations


def run_training(options: TrainingOptions) -> str:
    """Trains, or finds that it was done before; returns the path of the last snapshot.

    Everything is written to output/EXP_DIR/<imdb>[+<imdb> ...]: the snapshots, the adapted solver
    and net in <prefix>_prototxts, and the record <prefix>_train.json, which a resumed run reads.
    Prototxts, data sets and initial weights are all checked before anything is trained.
    """
    source = find_solver(options.solver, cfg.ROOT_DIR)
    prefix = file_stem(check_solver(source))
    imdbs = load_imdbs(options.imdb_names)
    output_dir = _results_of(imdbs)
    log.info("Output will be saved to `%s`", output_dir)
    stem = os.path.join(output_dir, prefix)
    with RunLock(f"{stem}_train.json"):
        final, figures = _locked_training(options, source, imdbs, stem)
        if processes.is_first():
            describe_training(final, source, f"{stem}_prototxts", imdbs[0], options.imdb_names,
                              figures)
        return final


def _locked_training(options: TrainingOptions, source: str, imdbs: list,
                     stem: str) -> tuple[str, dict[str, Any]]:
    """The path of the last snapshot, and the figures of the record."""
    sweep(stem)
    numbers = chosen_numbers(options, source, imdbs)
    solver = adapt_solver(source, f"{stem}_prototxts", imdbs[0].num_classes, numbers)
    if options.weights is not None:
        check_weights(options.weights, solver.net, options.solver)
    inputs = _inputs(options, imdbs, solver)
    validation = None
    if cfg.TRAIN.VAL_IMDB:
        imdb = _validation_imdb(imdbs[0])
        net = _validation_net(source, stem, imdb)
        inputs["validation"] = [net.hash, data_hash(imdb)]
        validation = Validation(net.path, imdb, f"{os.path.basename(stem)}_validation")
    manifest = Manifest(f"{stem}_train.json", keep=options.resume)
    reason = manifest.reason_to_run("train", inputs)
    if reason is None:
        log.info("The training is done already")
        return manifest.output("train"), manifest.steps["train"]["figures"]
    continues = manifest.is_started_from("train", inputs)
    if options.resume and not continues:
        log.warning("The training starts from the beginning (%s)", reason)
    manifest.begin("train", inputs)
    start = time.time()
    figures: dict[str, Any] = {"iterations": solver.iterations}
    paths = train_net(solver.path, combined_roidb(imdbs), _results_of(imdbs),
                      pretrained_model=options.weights, max_iters=solver.iterations,
                      resume=continues, figures=figures, validation=validation)
    figures["seconds"] = round(time.time() - start, 1)
    manifest.finish("train", paths[-1], figures)
    return paths[-1], figures


def chosen_numbers(options: TrainingOptions, source: str, imdbs: list) -> Numbers:
    """The user's Numbers, with iterations that fit the data sets where none are given."""
    given, param = options.numbers, prototxt.read_solver(source)
    fitting = fitting_numbers(imdbs, [cfg.TRAIN.IMS_PER_BATCH * param.iter_size],
                              given.iterations is not None, options.epochs)
    if fitting is None:
        return given
    # a solver without max_iter says nothing about the share of its iterations
    drop = fitting[0].drop if param.lr_policy == "step" and not param.max_iter else None
    return dataclasses.replace(given, iterations=fitting[0].iterations,
                               stepsize=given.stepsize or drop)


def _results_of(imdbs: list) -> str:
    return results_dir("+".join(imdb.name for imdb in imdbs))


def load_imdbs(names: str) -> list:
    """The data sets of "a+b+c", with the proposals that TRAIN.PROPOSAL_METHOD names.

    ClassesDifferError unless they have the same classes.
    """
    imdbs = [get_imdb(name) for name in names.split("+")]
    for imdb in imdbs[1:]:
        if list(imdb.classes) != list(imdbs[0].classes):
            raise ClassesDifferError(
                f"{imdbs[0].name} and {imdb.name} cannot be joined: their classes differ "
                f"({', '.join(imdbs[0].classes)}; {', '.join(imdb.classes)})")
    for imdb in imdbs:
        imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD, cfg.TRAIN.PROPOSAL_FILE)
    return imdbs


def combined_roidb(imdbs: list) -> list[dict]:
    """The training entries of data sets, one after the other, mirrored ones behind each set's."""
    roidb = []
    for imdb in imdbs:
        log.debug("Loaded dataset `%s` for training", imdb.name)
        log.debug("Set proposal method: %s", cfg.TRAIN.PROPOSAL_METHOD)
        roidb += get_training_roidb(imdb)
    log.info("%d roidb entries", len(roidb))
    return roidb


def _validation_imdb(trained: Any) -> Any:
    """The split to validate with, with its proposals for a net without an RPN."""
    imdb = validation_imdb(trained)
    if not cfg.TEST.HAS_RPN:
        imdb.set_proposal_method(cfg.TEST.PROPOSAL_METHOD, cfg.TEST.PROPOSAL_FILE)
    return imdb


def _validation_net(solver: str, stem: str, imdb: Any) -> AdaptedNet:
    """The test net to validate with, adapted; in a folder of its own, since it may have the file
    name of the training net.
    """
    source = cfg.TRAIN.VAL_NET or os.path.join(os.path.dirname(solver), "test.prototxt")
    source = find(source, cfg.ROOT_DIR, "the test net to validate with (TRAIN.VAL_NET)")
    return adapt_net(source, os.path.join(f"{stem}_prototxts", "validation"), imdb.num_classes)


def _inputs(options: TrainingOptions, imdbs: list, solver: AdaptedSolver) -> dict[str, Any]:
    """What the training is made from: a hash, a number or settings per input.

    Validation reads the settings of the test as well.
    """
    sections = ("TRAIN", "TEST") if cfg.TRAIN.VAL_IMDB else ("TRAIN",)
    return {"weights": None if options.weights is None else file_hash(options.weights),
            "prototxt": solver.hash, "iterations": solver.iterations,
            "data": [data_hash(imdb) for imdb in imdbs],
            "proposals": [proposals_hash(imdb, cfg.TRAIN.PROPOSAL_METHOD, cfg.TRAIN.PROPOSAL_FILE)
                          for imdb in imdbs],
            "settings": settings_in_force(cfg, sections)}
