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
from faster_rcnn.schedules.files import ScheduleFiles, ScheduleOptions, check_solvers
from faster_rcnn.schedules.tables import SECTIONS, Kind, Schedule, Step
from faster_rcnn.settings.config import cfg, cfg_override, get_output_dir

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
        get_imdb(options.test_imdb_name)
    output_dir = get_output_dir(imdb)
    log.info("Output will be saved to `%s`", output_dir)
    if cfg.TRAIN.VAL_IMDB:
        log.warning("TRAIN.VAL_IMDB is for tools/train_net.py: this schedule does not validate")
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
        self.results: dict[str, str] = {}       # name of a step -> path of its output

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
        log.info("%s finished: %s\n  wrote %s\n  recorded in %s", where,
                 ", ".join(f"{key} {value}" for key, value in figures.items()), output,
                 self._manifest.path)

    def _work_of(self, step: Step, continues: bool) -> actions.Work:
        for_test = step.kind is Kind.TEST_PROPOSALS
        return actions.Work(
            net_name=self._options.net_name, output_dir=self._output_dir,
            prototxt=self._files.paths[step.prototxt],
            imdb=get_imdb(self._options.test_imdb_name if for_test else self._options.imdb_name),
            weights=self.results[step.weights] if step.weights else self._initial_weights,
            proposals=self.results[step.proposals] if step.proposals else None,
            iterations=self._files.iterations.get(step.prototxt, 0), continues=continues)

    def _inputs(self, step: Step) -> dict[str, Any]:
        """What a step is made from, in its settings: a hash, a number or settings per input."""
        recorded = self._manifest.steps
        inputs = {"weights": recorded[step.weights]["output_hash"] if step.weights
                  else self._weights_hash,
                  "prototxt": self._files.hashes[step.prototxt], "data": self._data_hash,
                  "settings": settings_in_force(cfg, SECTIONS[step.kind])}
        if step.kind is Kind.TEST_PROPOSALS:
            inputs["test data"] = data_hash(get_imdb(self._options.test_imdb_name))
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
        log.info("cp %s -> %s", last, final)
        if processes.is_first():
            copy_file(last, final)
            describe_final(final, self._files.detector_net, get_imdb(self._options.imdb_name)
                           .classes, self._options.imdb_name, self._training())
        return final

    def _training(self) -> dict[str, Any]:
        """What the description of the final model says of the training."""
        return {"schedule": self._schedule.method, "net": self._options.net_name,
                "weights": os.path.basename(self._initial_weights), "seed": cfg.RNG_SEED,
                "steps": {name: step["figures"] for name, step in self._manifest.steps.items()}}
