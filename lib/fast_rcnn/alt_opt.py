"""Faster R-CNN by alternating optimisation: a table of six steps, and the function that runs them.

Ren et al. 2015, section 3.2, "4-step alternating training"; files and settings of py-faster-rcnn's
tools/train_faster_rcnn_alt_opt.py. All steps run in one process; each starts from the seed and
takes its settings back at its end.
"""
import gc
import logging
import os
import time
from dataclasses import dataclass
from typing import Optional

import numpy as np
import torch

import caffe
from datasets.factory import get_imdb
from fast_rcnn.alt_opt_files import STAGES, ScheduleFiles
from fast_rcnn.config import cfg, cfg_override, get_output_dir
from fast_rcnn.fingerprint import data_hash, settings_hash
from fast_rcnn.manifest import Manifest
from fast_rcnn.train import get_training_roidb, seed_generators, train_net
from roi_data_layer.minibatch import MinibatchOptions
from rpn.generate import imdb_proposals
from utils import safe_pickle
from utils.files import copy_file, file_hash

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

    @property
    def trains(self):
        return self.settings is not PROPOSALS


S1_RPN, S1_FAST, S2_RPN, S2_FAST = STAGES
STEPS = (
    Step("stage1_rpn", "stage1", S1_RPN.solver, RPN, None, None,
         "Stage 1 RPN, init from ImageNet model"),
    Step("stage1_proposals", "stage1", "rpn_test.pt", PROPOSALS, "stage1_rpn", None,
         "Stage 1 RPN, generate proposals"),
    Step("stage1_fast_rcnn", "stage1", S1_FAST.solver, FAST_RCNN, None, "stage1_proposals",
         "Stage 1 Fast R-CNN using RPN proposals, init from ImageNet model"),
    Step("stage2_rpn", "stage2", S2_RPN.solver, RPN, "stage1_fast_rcnn", None,
         "Stage 2 RPN, init from stage 1 Fast R-CNN model"),
    Step("stage2_proposals", "stage2", "rpn_test.pt", PROPOSALS, "stage2_rpn", None,
         "Stage 2 RPN, generate proposals"),
    Step("stage2_fast_rcnn", "stage2", S2_FAST.solver, FAST_RCNN, "stage2_rpn",
         "stage2_proposals", "Stage 2 Fast R-CNN, init from stage 2 RPN R-CNN model"),
)


@dataclass(frozen=True)
class Options:
    """What the user chooses. The tuples hold four values, one per training step, or are None."""

    net_name: str
    imdb_name: str
    weights: str
    iterations: Optional[tuple] = None  # of each training step; None: the solvers' max_iter, or
                                        # 80000, 40000, 80000, 40000
    rates: Optional[tuple] = None       # base learning rates; None: the solvers' own
    steps: Optional[tuple] = None       # iterations between drops of the rate; None: in proportion
    resume: bool = False


def run_schedule(options):
    """Runs the steps that are not finished yet; returns the path of the final model.

    Everything is written to output/EXP_DIR/<imdb>: the adapted prototxts, a snapshot per training
    step, proposals, the record <NET>_alt_opt.json and <NET>_faster_rcnn_final.caffemodel.
    Prototxts, data set and initial weights are all checked before the first step starts.
    """
    for step in STEPS:
        with cfg_override(**step.settings):
            MinibatchOptions.from_cfg()     # refuses settings that a later step would refuse
    imdb = get_imdb(options.imdb_name)
    run = _Run(options, imdb, get_output_dir(imdb))
    log.info("Output will be saved to `%s`", run.output_dir)
    if cfg.TRAIN.VAL_IMDB:
        log.warning("TRAIN.VAL_IMDB is for tools/train_net.py: this schedule does not validate")
    for number, step in enumerate(STEPS, 1):
        _banner(step.title)
        run.step(number, step)
    return run.finish()


class _Run:
    """One run of the schedule: its files, its record, and the results so far."""

    def __init__(self, options, imdb, output_dir):
        self.options, self.output_dir = options, output_dir
        self.files = ScheduleFiles(options, imdb.num_classes, output_dir)
        self.files.check_weights(options.weights)
        self.manifest = Manifest(os.path.join(output_dir, f"{options.net_name}_alt_opt.json"),
                                 keep=options.resume)
        self.weights_hash = file_hash(options.weights)
        self.data_hash = data_hash(imdb)
        self.results = {}  # name of a step -> path of its output

    def step(self, number, step):
        """Runs a step unless the record says that it is done."""
        with cfg_override(**step.settings), cfg_override(TRAIN={"SNAPSHOT_INFIX": step.stage}):
            inputs = self._inputs(step)
            hindrance = self.manifest.difference(step.name, inputs)
            if hindrance is None:
                self.results[step.name] = self.manifest.output(step.name)
                log.info("Step %d of %d is done already: %s", number, len(STEPS),
                         self.results[step.name])
                return
            if self.options.resume:
                log.info("Step %d of %d is to be run (%s)", number, len(STEPS), hindrance)
            started_alike = (self.options.resume and step.name in self.manifest.steps
                             and not self.manifest.changed_inputs(step.name, inputs))
            self.manifest.begin(step.name, inputs)
            start = time.time()
            seed_generators()       # every step starts alike, as the original's processes did
            output, figures = (self._train(step, resume=started_alike) if step.trains
                               else self._generate(step))
            figures["seconds"] = round(time.time() - start, 1)
            self.manifest.finish(step.name, output, figures)
        self.results[step.name] = output
        log.info("Step %d of %d finished: %s\n  wrote %s\n  recorded in %s", number, len(STEPS),
                 ", ".join(f"{key} {value}" for key, value in figures.items()), output,
                 self.manifest.path)

    def finish(self):
        """Copies the last model to its final name; returns that path."""
        last = self.results[STEPS[-1].name]
        final = os.path.join(self.output_dir,
                             f"{self.options.net_name}_faster_rcnn_final.caffemodel")
        log.info("cp %s -> %s", last, final)
        copy_file(last, final)
        return final

    def _weights(self, step):
        return self.results[step.weights] if step.weights else self.options.weights

    def _inputs(self, step):
        """A hash per input of a step, in the settings of the step."""
        inputs = {"weights": self.manifest.steps[step.weights]["output_hash"] if step.weights
                  else self.weights_hash,
                  "prototxt": self.files.hashes[step.prototxt], "data": self.data_hash,
                  "settings": settings_hash(cfg, "TRAIN" if step.trains else "TEST")}
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

    def _generate(self, step):
        """Writes the proposals for the training images; returns the path and figures."""
        weights = self._weights(step)
        log.info("RPN model: %s", weights)
        imdb = get_imdb(self.options.imdb_name)
        log.info("Loaded dataset `%s` for proposal generation", imdb.name)
        net = caffe.Net(self.files.paths[step.prototxt], weights, caffe.TEST)
        proposals = imdb_proposals(net, imdb)
        del net
        _free_memory()
        path = os.path.splitext(weights)[0] + "_proposals.pkl"
        write_proposals(path, proposals)
        count = sum(len(boxes) for boxes in proposals)
        return path, {"images": len(proposals), "proposals": count}


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
