"""From arguments to a running tool: settings, device, files that must exist."""
import argparse
import contextlib
import logging
import os
import pprint
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import caffe
from caffe.core.errors import UserError
from caffe.files import prototxt
from faster_rcnn.commands.data import data_card, settings_from_card
from faster_rcnn.detection.options import Refinement
from faster_rcnn.networks.catalogue import pixel_means
from faster_rcnn.networks.store import find
from faster_rcnn.pretrained.published import get_weights, is_published, shipped_weights
from faster_rcnn.runs import processes
from faster_rcnn.runs.devices import usable_device
from faster_rcnn.settings.checks import check_settings
from faster_rcnn.settings.config import (
    DEFAULTS,
    cfg,
    cfg_from_file,
    cfg_from_list,
    cfg_override,
)
from faster_rcnn.settings.merge import merge

log = logging.getLogger(__name__)

USUAL_MEANS = DEFAULTS.PIXEL_MEANS


class OptionError(UserError, ValueError):
    """Options of a command line that are missing or do not go together."""


def apply_settings(args: argparse.Namespace, show: bool = True,
                   described: Mapping[str, Any] | None = None) -> None:
    """Merges --cfg, the card's settings, --scale, --precision and --set, in this order, into cfg;
    `show`: logs the settings in force.

    described: the settings of a detector's description, which come before all of these, and in the
    place of the card's, unless the command line names another net (--def).
    Raises ConfigKeyError or ConfigValueError.
    """
    if described is not None:
        merge(dict(described), cfg, lambda path: "description")
    if args.cfg_file is not None:
        require_file(args.cfg_file, "settings file (--cfg)")
        cfg_from_file(args.cfg_file)
    if getattr(args, "imdb_name", None):
        names_all = described is None or getattr(args, "prototxt", None) is not None
        with cfg_override():        # --set may say where data sets and their cards are
            cfg_from_list(args.set_cfgs or [])
            card = data_card(args.imdb_name)
        if card is not None and names_all:
            settings_from_card(card)
    if getattr(args, "scale", None) is not None:
        side, cap = args.scale
        for part in (cfg.TRAIN, cfg.TEST):
            part.SCALES = (side,)
            # without a cap of its own, the usual proportion of the two must still fit
            part.MAX_SIZE = cap or max(part.MAX_SIZE, round(side * 1000 / 600))
    if getattr(args, "precision", None) is not None:
        cfg.TRAIN.PRECISION = cfg.TEST.PRECISION = args.precision
    if args.set_cfgs is not None:
        cfg_from_list(args.set_cfgs)
    check_settings(cfg)
    Refinement.of(cfg.TEST)     # refuses wrong settings now, not after a training
    if isinstance(getattr(args, "gpu_id", None), int):
        cfg.GPU_ID = args.gpu_id
    cfg.DETERMINISTIC = cfg.DETERMINISTIC or getattr(args, "deterministic", False)
    cfg.USE_TF32 = cfg.USE_TF32 or getattr(args, "tf32", False)
    if show:
        show_settings(args)


@contextlib.contextmanager
def settings_of_options(args: argparse.Namespace) -> Iterator[None]:
    """--cfg, --scale and --set are in force inside, without a data set's own settings: where data
    sets lie is a setting."""
    with cfg_override():
        apply_settings(argparse.Namespace(**{**vars(args), "imdb_name": None}), show=False)
        yield


def check_options(args: argparse.Namespace) -> None:
    """Refuses wrong --cfg, --scale and --set before anything is read; cfg stays as it is."""
    with settings_of_options(args):
        pass


def show_settings(args: argparse.Namespace) -> None:
    """Logs the settings that differ from the defaults; all of them, and the options, where the
    whole log is wanted.
    """
    log.debug("Called with args:\n%s\nUsing config:\n%s", args, pprint.pformat(cfg))
    changed = ", ".join(f"{name} {value}" for name, value in changed_settings(cfg, DEFAULTS))
    log.info("Settings: %s", changed or "the defaults")


def changed_settings(settings: dict[str, Any], defaults: dict[str, Any],
                     section: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted name, value) of the settings that are not as in `defaults`."""
    for key, value in settings.items():
        default: Any = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            yield from changed_settings(value, default, f"{section}{key}.")
        elif not np.array_equal(value, default):
            yield section + key, value.tolist() if isinstance(value, np.ndarray) else value


def use_device(gpu_id: int | str) -> None:
    """Computes on GPU `gpu_id`, on the CPU when it is "cpu", or with "auto" on a GPU where one can
    be used, and says which; cfg.DETERMINISTIC, cfg.USE_TF32 and the two PRECISIONs say how.

    Of several processes on a machine (torchrun) each takes a GPU, counted from `gpu_id` on.
    """
    if gpu_id == "auto":
        gpu_id, reason = usable_device()
        log.info("Computing on %s (%s)", "the CPU" if gpu_id == "cpu" else f"GPU {gpu_id}", reason)
    if cfg.DETERMINISTIC:
        caffe.set_deterministic()
    caffe.set_precision(cfg.TRAIN.PRECISION, caffe.TRAIN)
    caffe.set_precision(cfg.TEST.PRECISION, caffe.TEST)
    if isinstance(gpu_id, str):
        caffe.set_mode_cpu()
    else:
        cfg.GPU_ID = gpu_id
        caffe.set_device(processes.gpu_of(gpu_id))
        caffe.set_mode_gpu(tf32=cfg.USE_TF32)
    processes.join()


def require_file(path: str | None, what: str, hint: str = "") -> str:
    """Returns the path of a file; raises one clear line unless `path` is one: OptionError where
    none is given, FileNotFoundError, IsADirectoryError.
    """
    if path is None:
        raise OptionError(f"no {what} given{hint}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{what} {path} is a folder, not a file{hint}")
    if not os.path.exists(path):
        raise FileNotFoundError(f"{what} {path} does not exist{hint}")
    return path


def find_net(path: str | None, what: str) -> str:
    """The path of a prototxt that exists: as given, or one of ours, written on first use.

    what: its name in an error. Raises OptionError without a path, IsADirectoryError,
    UnknownNetError.
    """
    if path is None or os.path.isdir(path):
        path = require_file(path, what)     # always raises
    return find(path, cfg.ROOT_DIR, what)


def initial_weights(path: str | None) -> str | None:
    """The path of initial weights, which are got (data/weights.yml) where they can be and are not
    there yet; None: none are given."""
    if path is not None and not os.path.exists(path):
        shipped = shipped_weights(path, cfg.DATA_DIR)
        if shipped is not None:
            return shipped
        net = is_published(path, cfg.DATA_DIR)
        if net is not None:
            log.info("%s is not there yet: getting it (data/weights.yml)", path)
            return get_weights(net, cfg.DATA_DIR)
    return path


def use_means_of(net: str) -> None:
    """Sets PIXEL_MEANS to those that the weights of a backbone were made with, unless others than
    the usual ones are set. net: path of a prototxt, which names its backbone.
    """
    name = prototxt.read_net(net).name
    means = pixel_means(name)
    if means is not None and np.array_equal(cfg.PIXEL_MEANS, USUAL_MEANS):
        cfg.PIXEL_MEANS = np.array([[means]])
        log.info("PIXEL_MEANS are those of %s: %s", name, means)


def wait_for(path: str | None, what: str, wait: bool) -> None:
    """Returns once the file exists; without `wait` a missing file is an error at once."""
    while wait and path is not None and not os.path.exists(path):
        log.info("Waiting for %s to exist...", path)
        time.sleep(10)
    require_file(path, what)
