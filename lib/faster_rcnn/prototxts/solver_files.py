"""Solvers and nets of a training: checked, adapted to the data set, copied beside the results."""
import logging
import os
from dataclasses import dataclass

import caffe
from caffe.core.errors import InputError, LayerError, ShapeMismatchError, WeightsError
from caffe.files import prototxt
from caffe.files import weights as weight_files
from caffe.layer_types.common import registry
from caffe.nets.net_weights import CopyReport
from caffe.proto.caffe_pb2 import NetParameter, SolverParameter
from faster_rcnn.files.atomic import json_hash, write_text
from faster_rcnn.networks.text import message_text
from faster_rcnn.prototxts.adapt import adapt_file
from faster_rcnn.settings.config import cfg

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Numbers:
    """What the user chooses instead of a solver's own numbers; None: the solver's own."""

    iterations: int | None = None
    rate: float | None = None        # base learning rate
    stepsize: int | None = None      # iterations between drops of the rate; None: in proportion


@dataclass(frozen=True)
class AdaptedNet:
    """A net's copy: its path, a hash of its content, the names of its layers."""

    path: str
    hash: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class AdaptedSolver:
    """A solver's copy with that of its net: path, hash of both, iterations to train, the net."""

    path: str
    hash: str
    iterations: int
    net: AdaptedNet


def adapt_net(source: str, folder: str, num_classes: int) -> AdaptedNet:
    """Copies the net file `source` to `folder`, its class count following the data set."""
    require(source)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, os.path.basename(source))
    net = adapt_file(source, path, num_classes)
    _check_types(net, source)
    return AdaptedNet(path, json_hash(message_text(net)), tuple(layer.name for layer in net.layer))


# What is trained where nobody says; py-faster-rcnn: train_net.py
ITERATIONS = 40000


def adapt_solver(source: str, folder: str, num_classes: int, numbers: Numbers,
                 usual_iterations: int | None = None) -> AdaptedSolver:
    """Copies a solver and its net to `folder`, with the chosen Numbers.

    usual_iterations: what the solver is for where it has no max_iter. Where that is not known
    either, the rate drops as the solver says, however long the training is.
    """
    require(source)
    param = prototxt.read_solver(source)
    net = adapt_net(_find_net(param, source), folder, num_classes)
    usual = param.max_iter or usual_iterations
    iterations = numbers.iterations or usual or ITERATIONS
    if param.HasField("max_iter"):
        param.max_iter = iterations
    if numbers.rate is not None:
        param.base_lr = numbers.rate
    name = os.path.basename(source)
    if param.lr_policy == "step":
        if usual:
            param.stepsize = max(1, param.stepsize * iterations // usual)
        param.stepsize = numbers.stepsize or param.stepsize
        log.info("%s: learning rate %g, times %g every %d of %d iterations", name, param.base_lr,
                 param.gamma, param.stepsize, iterations)
    elif param.lr_policy == "multistep" and usual:
        param.stepvalue[:] = [max(1, value * iterations // usual) for value in param.stepvalue]
        log.info("%s: learning rate %g, times %g at %s of %d iterations", name, param.base_lr,
                 param.gamma, ", ".join(map(str, param.stepvalue)) or "none", iterations)
    if numbers.stepsize is not None and param.lr_policy != "step":
        raise InputError(f'{source}: --steps needs lr_policy "step", this solver has '
                         f'"{param.lr_policy}"')
    content_hash = json_hash([message_text(param), net.hash])
    param.ClearField("net")
    param.train_net = net.path
    path = os.path.join(folder, name)
    write_text(path, message_text(param))
    return AdaptedSolver(path, content_hash, iterations, net)


def check_weights(path: str, net: AdaptedNet, source: str) -> None:
    """Initial weights must exist and hold parameters of a layer of the AdaptedNet `net`.

    source: what an error message calls the net.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"initial weights {path} do not exist (--weights)")
    stored = weight_files.read_weights(path)
    if not any(name in stored for name in net.layers):
        raise WeightsError(f"{path} has no parameters for any layer of {source} (it holds "
                           f"{', '.join(list(stored)[:4])} ...): these are another net's weights")


def copy_initial_weights(net: caffe.Net, path: str) -> CopyReport:
    """copy_from, as TRAIN.SKIP_MISMATCHED says; returns the CopyReport."""
    try:
        return net.copy_from(path, cfg.TRAIN.SKIP_MISMATCHED)
    except ShapeMismatchError as error:
        raise ShapeMismatchError(f"{error} Or let all such layers start anew: --set "
                                 "TRAIN.SKIP_MISMATCHED True") from None


def require(path: str) -> None:
    """Raises FileNotFoundError unless a prototxt is there."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"prototxt {path} does not exist")


def net_of_solver(source: str) -> str:
    """The path of the net that a solver's prototxt names; InputError, FileNotFoundError."""
    return _find_net(prototxt.read_solver(source), source)


def _find_net(param: SolverParameter, source: str) -> str:
    name = param.train_net or param.net
    if not name:
        raise InputError(f"{source} names no net (train_net: \"...\")")
    return _resolve(name, source)


def _resolve(path: str, beside: str) -> str:
    """A path in a prototxt: relative to the working folder, the project, or the file itself.

    Solvers name their net from the top of their own project (models/ZF/.../train.pt); a solver that
    lies in such a folder means the file there, not this project's of the same name.
    """
    folder = os.path.dirname(os.path.abspath(beside))
    inner = os.path.normpath(os.path.dirname(path))
    own = [folder[:-len(inner)]] if folder.endswith(os.sep + inner) else []
    folders = (*own, os.getcwd(), cfg.ROOT_DIR, folder)
    found = [os.path.join(folder, path) for folder in folders
             if os.path.isfile(os.path.join(folder, path))]
    if not found:
        raise FileNotFoundError(f"{beside} names the net {path}, which does not exist")
    return found[0]


def _check_types(net: NetParameter, source: str) -> None:
    """Every layer type must be known before the first of the nets is trained."""
    for layer in net.layer:
        if layer.type != "Python":
            try:
                registry.lookup(layer.type, layer.name)
            except LayerError as error:
                raise LayerError(f"{source}: {error}") from None
