"""Trains one net on a roidb (py-faster-rcnn: lib/fast_rcnn/train.py)."""
import logging
from typing import Any

from caffe.proto.caffe_pb2 import SolverParameter
from faster_rcnn.runs import processes
from faster_rcnn.training.solver_wrapper import SolverWrapper
from faster_rcnn.training.training_images import filter_roidb
from faster_rcnn.training.validation import Validation

log = logging.getLogger(__name__)


def train_net(solver_prototxt: str | SolverParameter, roidb: list[dict],
              output_dir: str, pretrained_model: str | None = None, max_iters: int = 40000,
              resume: bool = False, figures: dict[str, Any] | None = None,
              validation: Validation | None = None) -> list[str]:
    """Trains a net; returns the paths of its snapshots, the last one at iteration max_iters unless
    `validation` ends the training before.

    resume: continue from the checkpoint in output_dir, when there is one; otherwise that is kept
    aside. figures: a dict that gets the number of images, the smoothed loss at the end and the best
    result of `validation`.
    """
    roidb = filter_roidb(roidb)
    wrapper = SolverWrapper(solver_prototxt, roidb, output_dir, pretrained_model, validation)
    if processes.is_first():
        if resume:
            wrapper.checkpoints.sweep()
        else:
            wrapper.checkpoints.keep_aside()
    if resume:
        wrapper.restore_checkpoint()
    logging.getLogger("caffe").info("Solving %s", wrapper.solver.net.name)  # for log parsers
    log.info("Solving...")
    paths = wrapper.train_model(max_iters)
    log.info("done solving")
    if figures is not None:
        figures.update(images=len(roidb), loss=round(float(wrapper.solver.smoothed_loss), 4))
        if validation is not None and processes.is_first():
            figures.update({f"best {validation.measure}": round(validation.best, 4),
                            "at iteration": validation.best_iteration})
    return paths
