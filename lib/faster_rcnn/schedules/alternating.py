"""Faster R-CNN by alternating optimisation: a table of six steps, and the function that runs it and
other schedules (rfcn_alt_opt.py).

Ren et al. 2015, section 3.2, "4-step alternating training"; files and settings of py-faster-rcnn's
tools/train_faster_rcnn_alt_opt.py. All steps run in one process; each starts from the seed and
takes its settings back at its end.
"""
import gc
import json
import logging
import os
import time
from dataclasses import dataclass
from typing import Optional

import numpy as np
import torch

import caffe
from faster_rcnn.anchors.statistics import anchor_target_statistics
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.detection.proposals import imdb_proposals
from faster_rcnn.files import safe_pickle
from faster_rcnn.files.atomic import copy_file, file_hash, write_json
from faster_rcnn.minibatches.options import MinibatchOptions
from faster_rcnn.runs import processes
from faster_rcnn.runs.fingerprint import data_hash, settings_hash
from faster_rcnn.runs.manifest import Manifest
from faster_rcnn.schedules.files import METHOD, STAGES, TEST_NETS, ScheduleFiles
from faster_rcnn.settings.config import cfg, cfg_override, get_output_dir
from faster_rcnn.training.solver_wrapper import get_training_roidb, seed_generators, train_net

log = logging.getLogger(__name__)

# Settings of the three kinds of step
RPN = {"TRAIN": {"HAS_RPN": True, "BBOX_REG": False, "PROPOSAL_METHOD": "gt", "IMS_PER_BATCH": 1}}
PROPOSALS = {"TEST": {"RPN_PRE_NMS_TOP_N": -1, "RPN_POST_NMS_TOP_N": 2000}}
FAST_RCNN = {"TRAIN": {"HAS_RPN": False, "PROPOSAL_METHOD": "rpn", "IMS_PER_BATCH": 2}}


@dataclass(frozen=True)
class Step:
    """A row of the schedule; `weights` and `proposals` name the step whose result is taken."""

    name: str
    stage: str                # infix of its snapshots
    prototxt: str             # solver, or net of a proposal step
    settings: dict
    weights: Optional[str]    # None: the initial (ImageNet) weights
    proposals: Optional[str]
    title: str
    kind: str = "training"    # or proposals, test_proposals (for the test set), statistics (of the
                              # RPN's targets, which normalise those of all later steps)

    @property
    def trains(self):
        return self.kind == "training"


@dataclass(frozen=True)
class Schedule:
    """A table of steps and what it needs."""

    method: str               # folder of the prototxts: models/pascal_voc/<NET>/<method>
    steps: tuple
    stages: tuple             # a Stage per training step
    test_nets: tuple
    name: str                 # of the record and of the final model, see FASTER_RCNN
    result: str               # step whose model is the final one


S1_RPN, S1_FAST, S2_RPN, S2_FAST = STAGES
STEPS = (
    Step("stage1_rpn", "stage1", S1_RPN.solver, RPN, None, None,
         "Stage 1 RPN, init from ImageNet model"),
    Step("stage1_proposals", "stage1", "rpn_test.pt", PROPOSALS, "stage1_rpn", None,
         "Stage 1 RPN, generate proposals", kind="proposals"),
    Step("stage1_fast_rcnn", "stage1", S1_FAST.solver, FAST_RCNN, None, "stage1_proposals",
         "Stage 1 Fast R-CNN using RPN proposals, init from ImageNet model"),
    Step("stage2_rpn", "stage2", S2_RPN.solver, RPN, "stage1_fast_rcnn", None,
         "Stage 2 RPN, init from stage 1 Fast R-CNN model"),
    Step("stage2_proposals", "stage2", "rpn_test.pt", PROPOSALS, "stage2_rpn", None,
         "Stage 2 RPN, generate proposals", kind="proposals"),
    Step("stage2_fast_rcnn", "stage2", S2_FAST.solver, FAST_RCNN, "stage2_rpn",
         "stage2_proposals", "Stage 2 Fast R-CNN, init from stage 2 RPN R-CNN model"),
)
FASTER_RCNN = Schedule(METHOD, STEPS, STAGES, TEST_NETS, "faster_rcnn", result="stage2_fast_rcnn")


@dataclass(frozen=True)
class Options:
    """What the user chooses. The tuples hold a value per training step, or are None."""

    net_name: str
    imdb_name: str
    weights: str
    iterations: Optional[tuple] = None  # of each training step; None: the solvers' max_iter, or
                                        # what is published
    rates: Optional[tuple] = None       # base learning rates; None: the solvers' own
    steps: Optional[tuple] = None       # iterations between drops of the rate; None: in proportion
    resume: bool = False
    test_imdb_name: Optional[str] = None    # of the steps that make proposals for a test
    method: Optional[str] = None            # folder of the prototxts; None: the schedule's


def run_schedule(options, schedule=FASTER_RCNN):
    """Runs the steps that are not finished yet; returns the path of the final model, and those of
    all steps' results by name.

    Everything is written to output/EXP_DIR/<imdb>: the adapted prototxts, a snapshot per training
    step, proposals, the record <NET>_alt_opt.json (<NET>_rfcn_alt_opt.json) and
    <NET>_<schedule's name>_final.caffemodel.
    Prototxts, data set and initial weights are all checked before the first step starts.
    """
    for step in schedule.steps:
        with cfg_override(**step.settings):
            MinibatchOptions.from_cfg()     # refuses settings that a later step would refuse
    imdb = get_imdb(options.imdb_name)
    if any(step.kind == "test_proposals" for step in schedule.steps):
        get_imdb(options.test_imdb_name)
    run = _Run(options, schedule, imdb, get_output_dir(imdb))
    log.info("Output will be saved to `%s`", run.output_dir)
    if cfg.TRAIN.VAL_IMDB:
        log.warning("TRAIN.VAL_IMDB is for tools/train_net.py: this schedule does not validate")
    for number, step in enumerate(schedule.steps, 1):
        _banner(step.title)
        run.step(number, step)
    return run.finish(), run.results


class _Run:
    """One run of the schedule: its files, its record, and the results so far."""

    def __init__(self, options, schedule, imdb, output_dir):
        self.options, self.schedule, self.output_dir = options, schedule, output_dir
        self.files = ScheduleFiles(options, schedule, imdb.num_classes, output_dir)
        self.files.check_weights(options.weights)
        name = "" if schedule is FASTER_RCNN else f"{schedule.name}_"
        self.manifest = Manifest(
            os.path.join(output_dir, f"{options.net_name}_{name}alt_opt.json"),
            keep=options.resume)
        self.weights_hash = file_hash(options.weights)
        self.data_hash = data_hash(imdb)
        self.results = {}  # name of a step -> path of its output
        self.measured = {}  # settings that a step has measured for those after it

    def step(self, number, step):
        """Runs a step unless the record says that it is done."""
        with cfg_override(**step.settings), cfg_override(TRAIN={"SNAPSHOT_INFIX": step.stage,
                                                                **self.measured}):
            self._run(number, step)
        if step.kind == "statistics":
            self.measured = read_statistics(self.results[step.name])

    def _run(self, number, step):
        inputs, count = self._inputs(step), len(self.schedule.steps)
        hindrance = self.manifest.difference(step.name, inputs)
        if hindrance is None:
            self.results[step.name] = self.manifest.output(step.name)
            log.info("Step %d of %d is done already: %s", number, count, self.results[step.name])
            return
        if self.options.resume:
            log.info("Step %d of %d is to be run (%s)", number, count, hindrance)
        started_alike = (self.options.resume and step.name in self.manifest.steps
                         and not self.manifest.changed_inputs(step.name, inputs))
        self.manifest.begin(step.name, inputs)
        start = time.time()
        seed_generators()       # every step starts alike, as the original's processes did
        if step.trains:
            output, figures = self._train(step, resume=started_alike)
        elif step.kind == "statistics":
            output, figures = self._measure(step)
        else:
            output, figures = self._generate(step)
        figures["seconds"] = round(time.time() - start, 1)
        self.manifest.finish(step.name, output, figures)
        self.results[step.name] = output
        log.info("Step %d of %d finished: %s\n  wrote %s\n  recorded in %s", number, count,
                 ", ".join(f"{key} {value}" for key, value in figures.items()), output,
                 self.manifest.path)

    def finish(self):
        """Copies the last model to its final name; returns that path."""
        last = self.results[self.schedule.result]
        final = os.path.join(self.output_dir, f"{self.options.net_name}_{self.schedule.name}_final"
                                              ".caffemodel")
        log.info("cp %s -> %s", last, final)
        if processes.is_first():
            copy_file(last, final)
        return final

    def _weights(self, step):
        return self.results[step.weights] if step.weights else self.options.weights

    def _inputs(self, step):
        """A hash per input of a step, in the settings of the step."""
        inputs = {"weights": self.manifest.steps[step.weights]["output_hash"] if step.weights
                  else self.weights_hash,
                  "prototxt": self.files.hashes[step.prototxt], "data": self.data_hash,
                  "settings": settings_hash(cfg, next(iter(step.settings)))}
        if step.kind == "test_proposals":
            inputs["test data"] = data_hash(get_imdb(self.options.test_imdb_name))
        if step.proposals:
            inputs["proposals"] = self.manifest.steps[step.proposals]["output_hash"]
        if step.trains:
            inputs["iterations"] = self.files.iterations[step.prototxt]
        return inputs

    def _train(self, step, resume):
        """Trains a net; returns the path of its snapshot and figures."""
        weights = self._weights(step)
        iterations = self.files.iterations[step.prototxt]
        log.info("Init model: %s", weights)
        roidb = self._training_roidb(step)
        figures = {"iterations": iterations}
        paths = train_net(self.files.paths[step.prototxt], roidb, self.output_dir,
                          pretrained_model=weights, max_iters=iterations, resume=resume,
                          figures=figures)
        if processes.is_first():
            for path in paths[:-1]:
                os.remove(path)
        _free_memory()
        return paths[-1], figures

    def _training_roidb(self, step):
        imdb = get_imdb(self.options.imdb_name)
        log.info("Loaded dataset `%s` for training", imdb.name)
        if step.proposals:
            imdb.config["rpn_file"] = self.results[step.proposals]
            log.info("RPN proposals: %s", imdb.config["rpn_file"])
        imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD)
        log.info("Set proposal method: %s", cfg.TRAIN.PROPOSAL_METHOD)
        roidb = get_training_roidb(imdb)
        log.info("roidb len: %d", len(roidb))
        return roidb

    def _measure(self, step):
        """Writes the statistics of the RPN's targets; returns the path and figures."""
        imdb = get_imdb(self.options.imdb_name)
        imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD)
        log.info("Loaded dataset `%s` for the statistics of anchor targets", imdb.name)
        means, stds = anchor_target_statistics(self.files.paths[step.prototxt], imdb)
        log.info("anchor target means:\n%s\nanchor target stdevs:\n%s", means, stds)
        path = os.path.join(self.output_dir, f"{self.options.net_name}_anchor_statistics.json")
        if processes.is_first():
            write_json(path, {"means": means.tolist(), "stds": stds.tolist()})
        return path, {"images": imdb.num_images}

    def _generate(self, step):
        """Writes the proposals for the training or the test images; returns the path and figures.
        """
        weights = self._weights(step)
        log.info("RPN model: %s", weights)
        for_test = step.kind == "test_proposals"
        imdb = get_imdb(self.options.test_imdb_name if for_test else self.options.imdb_name)
        log.info("Loaded dataset `%s` for proposal generation", imdb.name)
        net = caffe.Net(self.files.paths[step.prototxt], weights, caffe.TEST)
        proposals = imdb_proposals(net, imdb, shared=True)
        del net
        _free_memory()
        path = os.path.splitext(weights)[0] + ("_test" if for_test else "") + "_proposals.pkl"
        if proposals is None:
            return path, {}         # the first process writes them
        write_proposals(path, proposals)
        return path, {"images": len(proposals), "proposals": sum(map(len, proposals))}


def read_statistics(path):
    """The settings (cfg.TRAIN) that a file of a statistics step stands for."""
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    return {"RPN_NORMALIZE_MEANS": found["means"], "RPN_NORMALIZE_STDS": found["stds"]}


def write_proposals(path, proposals):
    """Writes a list over images of (R, 4) float32 boxes, in the original's form (a pickle)."""
    safe_pickle.dump([np.asarray(boxes, dtype=np.float32) for boxes in proposals], path)
    log.info("Wrote RPN proposals to %s", path)


def _free_memory():
    """Nets of a finished step hold gigabytes and refer to themselves in circles."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _banner(title):
    log.info("%s\n%s\n%s", "~" * 60, title, "~" * 60)
