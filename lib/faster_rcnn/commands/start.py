"""From arguments to a running tool: settings, device, files that must exist."""
import argparse
import logging
import os
import pprint
import time
from collections.abc import Mapping
from typing import Any

import caffe
from caffe.core.errors import UserError
from faster_rcnn.detection.options import Refinement
from faster_rcnn.networks.store import find
from faster_rcnn.runs import processes
from faster_rcnn.settings.checks import check_settings
from faster_rcnn.settings.config import cfg, cfg_from_file, cfg_from_list
from faster_rcnn.settings.merge import merge

log = logging.getLogger(__name__)


class OptionError(UserError, ValueError):
    """Options of a command line that are missing or do not go together."""


def apply_settings(args: argparse.Namespace, show: bool = True,
                   described: Mapping[str, Any] | None = None) -> None:
    """Merges --cfg, then --scale, then --set into cfg; `show`: logs the settings in force.

    described: the settings of a detector's description, which come before all of these.
    Raises ConfigKeyError or ConfigValueError.
    """
    if described is not None:
        merge(dict(described), cfg, lambda path: "description")
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


def wait_for(path: str | None, what: str, wait: bool) -> None:
    """Returns once the file exists; without `wait` a missing file is an error at once."""
    while wait and path is not None and not os.path.exists(path):
        log.info("Waiting for %s to exist...", path)
        time.sleep(10)
    require_file(path, what)
