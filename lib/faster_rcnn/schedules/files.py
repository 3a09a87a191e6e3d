"""The prototxts of the alternating schedule: checked, adapted, copied beside the results."""
import os
from dataclasses import dataclass

import caffe
from faster_rcnn.networks.store import find, find_folder
from faster_rcnn.prototxts.solver_files import (
    Numbers,
    adapt_net,
    adapt_solver,
    check_weights,
    copy_initial_weights,
)
from faster_rcnn.settings.config import cfg

METHOD = "faster_rcnn_alt_opt"
TEST_NETS = ("rpn_test.pt", "faster_rcnn_test.pt")


@dataclass(frozen=True)
class Stage:
    """A training stage: its solver's file name, and its iterations where no max_iter is stated."""

    solver: str
    iterations: int


STAGES = (
    Stage("stage1_rpn_solver60k80k.pt", 80000),
    Stage("stage1_fast_rcnn_solver30k40k.pt", 40000),
    Stage("stage2_rpn_solver60k80k.pt", 80000),
    Stage("stage2_fast_rcnn_solver30k40k.pt", 40000),
)


class ScheduleFiles:
    """Reads all solvers and nets of a method; adapted copies go to <output_dir>/<NET>_prototxts.

    paths       file name -> path of the adapted solver or test net
    hashes      file name -> hash of its content (a solver's with that of its net)
    iterations  solver's file name -> iterations to train
    """

    def __init__(self, options, schedule, num_classes, output_dir):
        self._source = find_folder(cfg.MODELS_DIR, options.net_name,
                                   options.method or schedule.method, cfg.ROOT_DIR)
        folder = os.path.join(output_dir, f"{options.net_name}_prototxts")
        made = {name: adapt_net(self._source_of(name), folder, num_classes)
                for name in schedule.test_nets}
        solvers = {}
        for index, stage in enumerate(schedule.stages):
            numbers = Numbers(*(None if chosen is None else chosen[index] for chosen in
                                (options.iterations, options.rates, options.steps)))
            solvers[stage.solver] = adapt_solver(self._source_of(stage.solver), folder,
                                                 num_classes, numbers, stage.iterations)
        made.update(solvers)
        self.paths = {name: file.path for name, file in made.items()}
        self.hashes = {name: file.hash for name, file in made.items()}
        self.iterations = {name: solver.iterations for name, solver in solvers.items()}
        self._test_nets = schedule.test_nets
        self._first_net = solvers[schedule.stages[0].solver].net

    def check_weights(self, path):
        """Initial weights must exist, hold parameters of a layer of the first net, and fit the
        layers of all nets, of which later steps may be the first to meet some."""
        if path is None:
            raise ValueError("no initial weights given (--weights FILE.caffemodel)")
        check_weights(path, self._first_net, self._source)
        for name in self._test_nets:
            copy_initial_weights(caffe.Net(self.paths[name], caffe.TEST), path)

    def _source_of(self, name):
        return find(os.path.join(self._source, name), cfg.ROOT_DIR)
