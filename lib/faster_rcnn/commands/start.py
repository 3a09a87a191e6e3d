"""From arguments to a running tool: settings, device, files that must exist."""
import logging
import os
import pprint
import time

import caffe
from faster_rcnn.detection.options import Refinement
from faster_rcnn.networks.store import find
from faster_rcnn.runs import processes
from faster_rcnn.settings.checks import check_settings
from faster_rcnn.settings.config import cfg, cfg_from_file, cfg_from_list

log = logging.getLogger(__name__)


def apply_settings(args, show=True):
    """Merges --cfg, then --scale, then --set into cfg; `show`: says what is in force.

    ValueError where an option has a value that none of its meanings fits.
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
    Refinement.of(cfg.TEST)     # says what is wrong with it now, not after a training
    if getattr(args, "gpu_id", "cpu") != "cpu":
        cfg.GPU_ID = args.gpu_id
    if show:
        log.info("Called with args:\n%s\nUsing config:\n%s", args, pprint.pformat(cfg))


def use_device(gpu_id):
    """Computes on GPU `gpu_id`, or on the CPU when it is "cpu".

    Of several processes on a machine (torchrun) each takes a GPU, counted from `gpu_id` on.
    """
    if gpu_id == "cpu":
        caffe.set_mode_cpu()
    else:
        caffe.set_device(processes.gpu_of(gpu_id))
        caffe.set_mode_gpu()
    processes.join()


def require_file(path, what, hint=""):
    """Raises FileNotFoundError with one clear line unless `path` is a file."""
    if path is None:
        raise ValueError(f"no {what} given{hint}")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{what} {path} does not exist{hint}")


def find_net(path, what):
    """The path of a prototxt that exists: as given, or one of ours, written on first use.

    what: its name in an error. Raises ValueError without a path, UnknownNetError.
    """
    if path is None:
        raise ValueError(f"no {what} given")
    return find(path, cfg.ROOT_DIR, what)


def wait_for(path, what, wait):
    """Returns once the file is there; without `wait` a missing file is an error at once."""
    while wait and path is not None and not os.path.exists(path):
        log.info("Waiting for %s to exist...", path)
        time.sleep(10)
    require_file(path, what)
