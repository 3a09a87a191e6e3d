"""Runs the steps of a schedule, recorded and resumable.

All steps run in one process. Each starts from the seed, with its own settings, which end with it.
"""
import logging
import os
import time
from typing import Any

from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.detectors.recording import describe_final
from faster_rcnn.files.atomic import copy_file, file_hash
from faster_rcnn.minibatches.options import MinibatchOptions
from faster_rcnn.runs import processes
from faster_rcnn.runs.fingerprint import data_hash, settings_in_force
from faster_rcnn.runs.lock import RunLock, sweep
from faster_rcnn.runs.manifest import Manifest
from faster_rcnn.runs.random_state import seed_generators
from faster_rcnn.schedules import actions
from faster_rcnn.schedules.alternating import FASTER_RCNN
from faster_rcnn.schedules.files import (
    ScheduleFiles,
    ScheduleOptions,
    check_solvers,
    with_fitting_iterations,
)
from faster_rcnn.schedules.stage_validation import StageValidation
from faster_rcnn.schedules.summary import steps_table
from faster_rcnn.schedules.tables import SECTIONS, Kind, Schedule, Step
from faster_rcnn.settings.config import cfg, cfg_override, get_output_dir
from faster_rcnn.training.validation import Validation

log = logging.getLogger(__name__)


def run_schedule(options: ScheduleOptions,
                 schedule: Schedule = FASTER_RCNN) -> tuple[str, dict[str, str]]:
    """Runs the steps that are not finished yet; returns the path of the final model, and those of
    all steps' results by name.

    Everything is written to output/EXP_DIR/<imdb>: the adapted prototxts, a snapshot per training
    step, proposals, the record <NET>_<schedule.record>.json and the final model
    <NET>_<schedule.name>_final.caffemodel.
    Prototxts, data sets and initial weights are all checked before the first step starts.
    """
    check_solvers(options, schedule)
    for step in schedule.steps:
        with cfg_override(**step.settings):
            MinibatchOptions.from_cfg()     # refuses settings that a later step would refuse
    imdb = get_imdb(options.imdb_name)
    if any(step.kind is Kind.TEST_PROPOSALS for step in schedule.steps):
        get_imdb(options.test_imdb_name, "test")
    options = with_fitting_iterations(options, schedule, imdb)
    output_dir = get_output_dir(imdb)
    log.info("Output will be saved to `%s`", output_dir)
    record = os.path.join(output_dir, f"{options.net_name}_{schedule.record}.json")
    with RunLock(record):
        run = _Run(options, schedule, imdb, Manifest(record, keep=options.resume))
        for number, step in enumerate(schedule.steps, 1):
            log.info("%s\n%s\n%s", "~" * 60, step.title, "~" * 60)
            run.run(number, step)
        return run.finish(), run.results


class _Run:
    """One run of a schedule: its files, its record, and the results so far."""

    def __init__(self, options: ScheduleOptions, schedule: Schedule, imdb: Any,
                 manifest: Manifest) -> None:
        self._options, self._schedule, self._manifest = options, schedule, manifest
        self._output_dir = os.path.dirname(manifest.path)
        self._files = ScheduleFiles(options, schedule, imdb.num_classes, self._output_dir)
        self._initial_weights = self._files.check_weights(options.weights)
        for stem in (os.path.join(self._output_dir, options.net_name), *self._files.stems):
            sweep(stem)
        self._weights_hash = file_hash(self._initial_weights)
        self._data_hash = data_hash(imdb)
        self._measured: dict[str, Any] = {}     # settings that a step measured for those after it
        self._validation: StageValidation | None = None
        if cfg.TRAIN.VAL_IMDB:
            rpn, detector = (self._files.paths[name] for name in schedule.test_nets)
            self._validation = StageValidation(imdb, (rpn, detector), self._output_dir,
                                               options.net_name)
            self._validation_hash = self._validation.hash()
        self.results: dict[str, str] = {}       # name of a step -> path of its output
        self._done_now: set[str] = set()        # names of the steps that were run, not skipped

    def run(self, number: int, step: Step) -> None:
        """Runs a step, in its settings, unless the record says that it is done."""
        with cfg_override(**step.settings), cfg_override(TRAIN={"SNAPSHOT_INFIX": step.stage,
                                                                **self._measured}):
            inputs = self._inputs(step)
            reason = self._manifest.reason_to_run(step.name, inputs)
            where = f"Step {number} of {len(self._schedule.steps)}"
            if reason is None:
                self.results[step.name] = self._manifest.output(step.name)
                log.info("%s is done already: %s", where, self.results[step.name])
            else:
                if self._options.resume:
                    log.info("%s is to be run (%s)", where, reason)
                self._run_and_record(where, step, inputs)
        if step.kind is Kind.STATISTICS:
            self._measured = actions.read_statistics(self.results[step.name])

    def _run_and_record(self, where: str, step: Step, inputs: dict[str, Any]) -> None:
        continues = self._options.resume and self._manifest.is_started_from(step.name, inputs)
        self._manifest.begin(step.name, inputs)
        start = time.time()
        seed_generators()       # every step starts from the seed, as the original's processes did
        output, figures = actions.ACTIONS[step.kind](self._work_of(step, continues))
        figures["seconds"] = round(time.time() - start, 1)
        self._manifest.finish(step.name, output, figures)
        self.results[step.name] = output
        self._done_now.add(step.name)
        log.info("%s finished: %s", where,
                 ", ".join(f"{key} {value}" for key, value in figures.items()))
        log.debug("  wrote %s, recorded in %s", output, self._manifest.path)

    def _work_of(self, step: Step, continues: bool) -> actions.Work:
        for_test = step.kind is Kind.TEST_PROPOSALS
        return actions.Work(
            net_name=self._options.net_name, output_dir=self._output_dir,
            prototxt=self._files.paths[step.prototxt],
            imdb=(get_imdb(self._options.test_imdb_name, "test") if for_test
                  else get_imdb(self._options.imdb_name)),
            weights=self.results[step.weights] if step.weights else self._initial_weights,
            proposals=self.results[step.proposals] if step.proposals else None,
            iterations=self._files.iterations.get(step.prototxt, 0), continues=continues,
            validation=self._validation_of(step))

    def _validation_of(self, step: Step) -> Validation | None:
        if self._validation is None or step.kind is not Kind.TRAINING:
            return None
        source = next((row for row in self._schedule.steps if row.name == step.proposals), None)
        rpn = self.results[source.weights] if source and source.weights else None
        return self._validation.of_step(step.name, rpn)

    def _inputs(self, step: Step) -> dict[str, Any]:
        """What a step is made from, in its settings: a hash, a number or settings per input."""
        recorded = self._manifest.steps
        validates = self._validation is not None and step.kind is Kind.TRAINING
        sections = ("TRAIN", "TEST") if validates else SECTIONS[step.kind]
        inputs = {"weights": recorded[step.weights]["output_hash"] if step.weights
                  else self._weights_hash,
                  "prototxt": self._files.hashes[step.prototxt], "data": self._data_hash,
                  "settings": settings_in_force(cfg, sections)}
        if validates:
            inputs["validation"] = self._validation_hash
        if step.kind is Kind.TEST_PROPOSALS:
            inputs["test data"] = data_hash(get_imdb(self._options.test_imdb_name, "test"))
        if step.proposals:
            inputs["proposals"] = recorded[step.proposals]["output_hash"]
        if step.kind is Kind.TRAINING:
            inputs["iterations"] = self._files.iterations[step.prototxt]
        return inputs

    def finish(self) -> str:
        """Copies the last model to its final name; returns that path."""
        last = self.results[self._schedule.result]
        final = os.path.join(self._output_dir, f"{self._options.net_name}_{self._schedule.name}"
                                               "_final.caffemodel")
        if processes.is_first():
            copy_file(last, final)
            describe_final(final, self._files.detector_net, get_imdb(self._options.imdb_name)
                           .classes, self._options.imdb_name, self._training())
        log.info("cp %s -> %s", last, final)
        steps = {step.name: self._manifest.steps[step.name] for step in self._schedule.steps}
        log.info("%s", steps_table(steps, self._done_now))
        return final

    def _training(self) -> dict[str, Any]:
        """What the description of the final model says of the training."""
        return {"schedule": self._schedule.method, "net": self._options.net_name,
                "weights": os.path.basename(self._initial_weights), "seed": cfg.RNG_SEED,
                "steps": {name: step["figures"] for name, step in self._manifest.steps.items()}}
