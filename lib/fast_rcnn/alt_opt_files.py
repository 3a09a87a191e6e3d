"""The prototxts of a schedule: checked, adapted to the data set, copied beside the results."""
import logging
import os
from dataclasses import dataclass

from caffe import prototxt, registry, weights as weight_files
from caffe.errors import LayerError, WeightsError
from fast_rcnn.adapt import adapt_file
from fast_rcnn.config import cfg
from utils.files import json_hash, write_text
from utils.prototxt_text import message_text

log = logging.getLogger(__name__)

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

    def __init__(self, options, num_classes, output_dir):
        self.num_classes = num_classes
        self.source = _model_folder(options.net_name)
        self.target = os.path.join(output_dir, f"{options.net_name}_prototxts")
        os.makedirs(self.target, exist_ok=True)
        self.paths, self.hashes, self.iterations, self.layers = {}, {}, {}, {}
        for name in TEST_NETS:
            self.paths[name], self.hashes[name] = self._adapt(os.path.join(self.source, name))
        for index, stage in enumerate(STAGES):
            self._adapt_solver(stage, *(None if chosen is None else chosen[index] for chosen in
                                        (options.iterations, options.rates, options.steps)))

    def check_weights(self, path):
        """Initial weights must exist and hold parameters of a layer of the first net."""
        if path is None:
            raise ValueError("no initial weights given (--weights FILE.caffemodel)")
        if not os.path.isfile(path):
            raise FileNotFoundError(f"initial weights {path} do not exist (--weights)")
        stored = weight_files.read_weights(path)
        names = self.layers[STAGES[0].solver]
        if not any(name in stored for name in names):
            raise WeightsError(f"{path} has no parameters for any layer of {self.source} (it holds "
                               f"{', '.join(list(stored)[:4])} ...): these are another net's "
                               "weights")

    def _adapt_solver(self, stage, iterations, rate, stepsize):
        """Writes the solver with its adapted net and the chosen numbers; None: the file's own."""
        source = os.path.join(self.source, stage.solver)
        _require(source)
        param = prototxt.read_solver(source)
        net_path, net_hash = self._adapt(_find_net(param, source))
        self.layers[stage.solver] = self.layers[os.path.basename(net_path)]
        usual = param.max_iter or stage.iterations
        iterations = self.iterations[stage.solver] = iterations or usual
        if param.HasField("max_iter"):
            param.max_iter = iterations
        if rate is not None:
            param.base_lr = rate
        if param.lr_policy == "step":
            param.stepsize = stepsize or max(1, param.stepsize * iterations // usual)
            log.info("%s: learning rate %g, times %g every %d of %d iterations", stage.solver,
                     param.base_lr, param.gamma, param.stepsize, iterations)
        elif stepsize is not None:
            raise ValueError(f'{source}: --steps needs lr_policy "step", this solver has '
                             f'"{param.lr_policy}"')
        self.hashes[stage.solver] = json_hash([message_text(param), net_hash])
        param.ClearField("net")
        param.train_net = net_path
        self.paths[stage.solver] = os.path.join(self.target, stage.solver)
        write_text(self.paths[stage.solver], message_text(param))

    def _adapt(self, source):
        """Adapts a net file; returns the path of the copy and the hash of its content."""
        _require(source)
        name = os.path.basename(source)
        path = os.path.join(self.target, name)
        net = adapt_file(source, path, self.num_classes)
        _check_types(net, source)
        self.layers[name] = [layer.name for layer in net.layer]
        return path, json_hash(message_text(net))


def resolve(path, beside):
    """A path in a prototxt: relative to the working folder, the project, or the file itself."""
    folders = (os.getcwd(), cfg.ROOT_DIR, os.path.dirname(beside))
    found = [os.path.join(folder, path) for folder in folders
             if os.path.isfile(os.path.join(folder, path))]
    if not found:
        raise FileNotFoundError(f"{beside} names the net {path}, which does not exist")
    return found[0]


def _check_types(net, source):
    """Every layer type must be known before the first of the nets is trained."""
    for layer in net.layer:
        if layer.type != "Python":
            try:
                registry.lookup(layer.type, layer.name)
            except LayerError as error:
                raise LayerError(f"{source}: {error}") from None


def _find_net(param, source):
    name = param.train_net or param.net
    if not name:
        raise ValueError(f"{source} names no net (train_net: \"...\")")
    return resolve(name, source)


def _model_folder(net_name):
    folder = os.path.join(cfg.MODELS_DIR, net_name, METHOD)
    if not os.path.isdir(folder):
        known = sorted(name for name in os.listdir(cfg.MODELS_DIR)
                       if os.path.isdir(os.path.join(cfg.MODELS_DIR, name, METHOD)))
        raise FileNotFoundError(f"no net {net_name}: {folder} does not exist; nets that are there: "
                                f"{', '.join(known)}")
    return folder


def _require(path):
    if not os.path.isfile(path):
        raise FileNotFoundError(f"prototxt {path} does not exist")
