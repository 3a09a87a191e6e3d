"""The prototxts of a schedule: found, checked, adapted, copied beside the results."""
import dataclasses
import os
import re
from dataclasses import dataclass
from glob import escape, glob
from typing import Any

import caffe
from caffe.core.errors import UserError
from caffe.files import prototxt
from faster_rcnn.networks.store import UnknownNetError, find, find_folder, known_nets
from faster_rcnn.prototxts.solver_files import (
    AdaptedNet,
    AdaptedSolver,
    Numbers,
    adapt_net,
    adapt_solver,
    check_weights,
    copy_initial_weights,
)
from faster_rcnn.schedules.tables import Schedule, Stage
from faster_rcnn.settings.config import cfg
from faster_rcnn.training.numbers import fitting_numbers
from faster_rcnn.training.solver_check import check_solver

# "stage1_rpn_solver60k80k.pt": the rate drops after 60,000 of 80,000 iterations
_ITERATIONS = re.compile(r"_solver\d+k(\d+)k\.pt$")


class NoWeightsError(UserError, ValueError):
    """A schedule without initial weights."""


@dataclass(frozen=True)
class ScheduleOptions:
    """What the user chooses for a schedule. The tuples hold a value per training step; None: those
    of the solvers.
    """

    net_name: str
    imdb_name: str
    weights: str | None
    iterations: tuple[int, ...] | None = None
    rates: tuple[float, ...] | None = None      # learning rates to start with
    steps: tuple[int, ...] | None = None        # iterations between drops of the rate
    resume: bool = False
    test_imdb_name: str = ""                    # of the steps that make proposals for a test
    method: str | None = None                   # folder of the prototxts; None: the schedule's
    epochs: float | None = None                 # of every training step, instead of iterations

    def numbers(self, index: int) -> Numbers:
        """Those of a training step."""
        return Numbers(None if self.iterations is None else self.iterations[index],
                       None if self.rates is None else self.rates[index],
                       None if self.steps is None else self.steps[index])


class ScheduleFiles:
    """Reads all solvers and nets of a method; adapted copies go to <output_dir>/<NET>_prototxts.

    paths       name in the schedule's table -> path of the adapted solver or test net
    hashes      name in the table -> hash of its content (a solver's with that of its net)
    iterations  solver's name in the table -> iterations to train
    stems       what the paths of the snapshots start with
    detector_net  path of the net that tests the final model, the last one of the table
    """

    def __init__(self, options: ScheduleOptions, schedule: Schedule, num_classes: int,
                 output_dir: str) -> None:
        self._source = source_folder(options, schedule)
        folder = os.path.join(output_dir, f"{options.net_name}_prototxts")
        nets = {name: adapt_net(_file(self._source, name), folder, num_classes)
                for name in schedule.test_nets}
        solvers = {}
        for index, stage in enumerate(schedule.stages):
            found = _solver_of(stage, self._source)
            solvers[stage.solver] = adapt_solver(_file(self._source, found.solver), folder,
                                                 num_classes, options.numbers(index),
                                                 found.iterations)
        made: dict[str, AdaptedNet | AdaptedSolver] = {**nets, **solvers}
        self.paths = {name: file.path for name, file in made.items()}
        self.hashes = {name: file.hash for name, file in made.items()}
        self.iterations = {name: solver.iterations for name, solver in solvers.items()}
        self.stems = [os.path.join(output_dir, solver.snapshot_prefix) for solver in
                      map(prototxt.read_solver, (solver.path for solver in solvers.values()))]
        self.detector_net = self.paths[schedule.test_nets[-1]]
        self._test_nets = schedule.test_nets
        self._first_net = solvers[schedule.stages[0].solver].net

    def check_weights(self, path: str | None) -> str:
        """Returns the path of the initial weights.

        They must exist, hold parameters of a layer of the first net, and fit the layers of all
        nets, since a layer may be first used by a later step.
        """
        if path is None:
            raise NoWeightsError("no initial weights given (--weights FILE.caffemodel)")
        check_weights(path, self._first_net, self._source)
        for name in self._test_nets:
            copy_initial_weights(caffe.Net(self.paths[name], caffe.TEST), path)
        return path


def source_folder(options: ScheduleOptions, schedule: Schedule) -> str:
    """The folder of the prototxts that a schedule starts from."""
    return model_folder(options.net_name, options.method or schedule.method, options.imdb_name)


def model_folder(net_name: str | None, method: str, imdb_name: str) -> str:
    """The folder of a net's prototxts for a method; UnknownNetError lists the nets.

    For COCO it is models/coco/<NET>/<method>, where that exists (py-R-FCN), else as for all other
    data sets MODELS_DIR/<NET>/<method>.
    """
    if net_name is None:
        nets = known_nets(cfg.MODELS_DIR, method, cfg.ROOT_DIR)
        raise UnknownNetError("no net given (--net_name NET); nets that are there: "
                              f"{', '.join(nets) or 'none'}")
    of_coco = os.path.join(os.path.dirname(cfg.MODELS_DIR), "coco", net_name, method)
    if imdb_name.startswith("coco") and os.path.isdir(of_coco):
        return of_coco
    return find_folder(cfg.MODELS_DIR, net_name, method, cfg.ROOT_DIR)


def with_fitting_iterations(options: ScheduleOptions, schedule: Schedule,
                            imdb: Any) -> ScheduleOptions:
    """The options with iterations that fit the data set, where they have none."""
    folder = source_folder(options, schedule)
    ims_per_batch = []
    for stage in schedule.stages:
        step = next(step for step in schedule.steps if step.prototxt == stage.solver)
        param = prototxt.read_solver(_file(folder, _solver_of(stage, folder).solver))
        ims_per_batch.append(step.settings["TRAIN"]["IMS_PER_BATCH"] * param.iter_size)
    fitting = fitting_numbers([imdb], ims_per_batch, options.iterations is not None,
                              options.epochs)
    if fitting is None:
        return options
    return dataclasses.replace(options, iterations=tuple(one.iterations for one in fitting))


def check_solvers(options: ScheduleOptions, schedule: Schedule) -> None:
    """Refuses wrong solvers of a schedule, before its data are loaded."""
    folder = source_folder(options, schedule)
    for stage in schedule.stages:
        check_solver(_file(folder, _solver_of(stage, folder).solver))


def _file(folder: str, name: str) -> str:
    return find(os.path.join(folder, name), cfg.ROOT_DIR)


def _solver_of(stage: Stage, folder: str) -> Stage:
    """The stage with the solver that is there: of the name in the table, or of the only one with
    other numbers (COCO's stage1_rpn_solver360k480k.pt), which are its iterations.
    """
    stem = stage.solver.partition("_solver")[0]
    others = [os.path.basename(path) for path in glob(
        os.path.join(escape(folder), f"{stem}_solver*k*k.pt"))]
    if stage.solver in others or len(others) != 1:
        return stage
    stated = _ITERATIONS.search(others[0])
    return Stage(others[0], int(stated.group(1)) * 1000 if stated else stage.iterations)
