"""From arguments to a running tool: settings, device, files that must exist."""
import argparse
import logging
import os
import pprint
import time

import numpy as np

import caffe
from caffe.core.errors import UserError, WeightsError
from caffe.files import prototxt
from faster_rcnn.detection.options import Refinement
from faster_rcnn.networks.catalogue import pixel_means
from faster_rcnn.networks.store import find
from faster_rcnn.pretrained.published import get_weights, is_published
from faster_rcnn.runs import processes
from faster_rcnn.settings.checks import check_settings
from faster_rcnn.settings.config import cfg, cfg_from_file, cfg_from_list

log = logging.getLogger(__name__)

USUAL_MEANS = cfg.PIXEL_MEANS.copy()


class OptionError(UserError, ValueError):
    """Options of a command line that are missing or do not go together."""


def apply_settings(args: argparse.Namespace, show: bool = True) -> None:
    """Merges --cfg, then --scale, then --set into cfg; `show`: logs the settings in force.

    Raises ConfigKeyError or ConfigValueError.
    """
    if args.cfg_file is not None:
        require_file(args.cfg_file, "settings file (--cfg)")
        cfg_from_file(args.cfg_file)
    if getattr(args, "scale", None) is not None:
        side, cap = args.scale
        for part in (cfg.TRAIN, cfg.TEST):
            part.SCALES = (side,)
            # without a cap of its own, the usual proportion of the two must still fit
            part.MAX_SIZE = cap or max(part.MAX_SIZE, round(side * 1000 / 600))
    if args.set_cfgs is not None:
        cfg_from_list(args.set_cfgs)
    check_settings(cfg)
    Refinement.of(cfg.TEST)     # refuses wrong settings now, not after a training
    if getattr(args, "gpu_id", "cpu") != "cpu":
        cfg.GPU_ID = args.gpu_id
    if show:
        show_settings(args)


def show_settings(args: argparse.Namespace) -> None:
    """Logs the options and the settings in force."""
    log.info("Called with args:\n%s\nUsing config:\n%s", args, pprint.pformat(cfg))


def use_device(gpu_id: int | str) -> None:
    """Computes on GPU `gpu_id`, or on the CPU when it is "cpu".

    Of several processes on a machine (torchrun) each takes a GPU, counted from `gpu_id` on.
    """
    if isinstance(gpu_id, str):
        caffe.set_mode_cpu()
    else:
        caffe.set_device(processes.gpu_of(gpu_id))
        caffe.set_mode_gpu()
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


def require_filled(net: caffe.Net, weights: str, allow_random: bool) -> None:
    """WeightsError with the names of the net's learnable layers that its weights do not fill.

    net: made with the weights, a path. allow_random: a warning instead.
    """
    if net.last_copy is None:
        raise ValueError("the net was made without weights")
    missing = net.last_copy.missing
    if not missing:
        return
    text = (f"{weights} has no weights for {', '.join(missing)}, whose values would be random; are "
            "they the weights of this net?")
    if not allow_random:
        raise WeightsError(f"{text} (--allow-random runs it all the same)")
    log.warning("%s", text)
