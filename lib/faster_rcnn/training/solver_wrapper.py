"""A solver, and what the detector adds to it: regression targets, snapshots, checkpoints."""
import contextlib
import logging
import os

import numpy as np

import caffe
from caffe.core.errors import CaffeError, WeightsError
from caffe.core.logs import Timer
from caffe.core.precision import computing_in
from caffe.proto.caffe_pb2 import SolverParameter
from faster_rcnn.minibatches import step_pictures
from faster_rcnn.minibatches.kept_features import keep_frozen_features, log_use
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets
from faster_rcnn.prototxts.regressors import Regressor, regressors, unnormalized
from faster_rcnn.prototxts.solver_files import copy_initial_weights
from faster_rcnn.runs import processes
from faster_rcnn.runs.curves import Curves, net_losses
from faster_rcnn.runs.interrupts import STOPPING, Interrupted, SignalWatch
from faster_rcnn.runs.progress import ProgressDisplay
from faster_rcnn.runs.random_state import generator_state, restore_generators
from faster_rcnn.settings.config import ConfigValueError, cfg
from faster_rcnn.training.checkpoint import CheckpointError, Checkpoints
from faster_rcnn.training.loss_watch import LossWatch, TrainingError, naming_minibatch
from faster_rcnn.training.training_images import images_hash
from faster_rcnn.training.validation import Validation

log = logging.getLogger(__name__)

# A smoothed loss so many times that of the last checkpoint (or of 1, if that is more) has exploded
EXPLODED = 100


class SolverWrapper:
    """A solver, and what the detector adds to it.

    solver_prototxt: path of a solver's prototxt, or a SolverParameter. roidb: prepared entries,
    which get their regression targets here. Snapshots go to output_dir. pretrained_model: weights
    to start from.

    Attributes: solver, solver_param, output_dir, checkpoints, bbox_means and bbox_stds (4 K,),
    None without TRAIN.BBOX_REG.
    """

    def __init__(self, solver_prototxt: str | SolverParameter, roidb: list[dict],
                 output_dir: str, pretrained_model: str | None = None,
                 validation: Validation | None = None) -> None:
        self.output_dir, self.validation = output_dir, validation
        _check_normalization()
        self.bbox_means = self.bbox_stds = None
        if cfg.TRAIN.BBOX_REG:
            log.debug("Computing bounding-box regression targets...")
            self.bbox_means, self.bbox_stds = add_bbox_regression_targets(roidb)
        asked = cfg.TRAIN.PRECISION != "float32"        # else as caffe.set_precision was told
        with computing_in(cfg.TRAIN.PRECISION, caffe.TRAIN) if asked else contextlib.nullcontext():
            self.solver = caffe.get_solver(solver_prototxt)
        self.solver_param = self.solver.param
        self.checkpoints = Checkpoints(f"{self._stem}_checkpoint.npz")
        self._loss_of_checkpoint = np.inf
        self._regressors()      # refuses now what does not fit, not after a training
        if pretrained_model is not None:
            self._load_weights(pretrained_model)
        self._give_images(roidb)
        self._losses = LossWatch(self.solver, self._data_layer)
        self._features = keep_frozen_features(self.solver.net, self._data_layer)
        if cfg.TRAIN.RECOMPUTE_ACTIVATIONS:
            self.solver.net.passes.recompute_activations()
        self._snapshots: list[str] = []
        if validation is not None and processes.is_first():
            validation.attach(self.solver.net)
        processes.average_gradients(self.solver)

    def _regressors(self) -> list[Regressor]:
        return regressors(self.solver.net, self.bbox_means, self.bbox_stds)

    def _load_weights(self, path: str) -> None:
        log.debug("Loading pretrained model weights from %s", path)
        report = copy_initial_weights(self.solver.net, path)
        if not report.copied:
            raise WeightsError(f"{path} has no weights for any layer of the net; they are another "
                               "net's")
        log.info("Initial weights copied: %d layers; not in the file: %s; not in the net: %s",
                 len(report.copied), ", ".join(report.missing) or "none",
                 ", ".join(report.ignored_source) or "none")
        if report.mismatched:
            log.warning("  of other shapes in the file, filled by their fillers: %s",
                        ", ".join(report.mismatched))

    def _give_images(self, roidb: list[dict]) -> None:
        self._data_layer = self.solver.net.layers[0]
        if not hasattr(self._data_layer, "set_roidb"):
            raise CaffeError(f"net {self.solver_param.train_net or self.solver_param.net}: the "
                             "first layer must be RoIDataLayer (roi_data_layer.layer)")
        processes.broadcast_generator()     # all ranks share one order of the images
        self._data_layer.set_roidb(roidb)
        processes.seed_ranks_differently()
        self._images_hash = images_hash(roidb)

    @property
    def _stem(self) -> str:
        return os.path.join(self.output_dir, file_stem(self.solver_param))

    @property
    def _best(self) -> str:
        return f"{self._stem}_best.caffemodel"

    # ------------------------------------------------------------------------------- the iterations

    def train_model(self, max_iters: int) -> list[str]:
        """Trains up to iteration max_iters, unless validation ends the training before; returns the
        paths of all snapshots, the result last. Interrupted after a SIGINT or SIGTERM.
        """
        solver, timer = self.solver, Timer()
        display = self.solver_param.display
        images = cfg.TRAIN.IMS_PER_BATCH * self.solver_param.iter_size * caffe.solver_count()
        os.makedirs(os.path.dirname(self._stem), exist_ok=True)
        progress = ProgressDisplay((solver.iter, max_iters), images, display)
        curves = Curves(self._stem, solver.iter)
        with contextlib.closing(progress), contextlib.closing(curves), SignalWatch() as signals:
            while solver.iter < max_iters:
                timer.tic()
                with naming_minibatch(self._data_layer):
                    solver.step(1)
                timer.toc()
                self._losses.note()
                self._show(progress)
                if display and solver.iter % (10 * display) == 0:
                    log.debug("speed: %.3fs / iter", timer.average_time)
                curves.add_losses(solver)
                step_pictures.write_if_due(solver, self._stem)
                if self._validate_if_due(max_iters, curves):
                    break
                if solver.iter < max_iters:
                    self._write_if_due()
                    self._obey(signals.received())
        log_use(self._features)
        self._losses.check()
        self._snapshots.append(self.snapshot())
        if processes.is_first():
            self.checkpoints.remove()
        if self._takes_best():
            log.info("The best weights are taken: %s", self._best)
            self._snapshots.append(self._best)
        return self._snapshots

    def _show(self, progress: ProgressDisplay) -> None:
        """The losses where they are due, for reading one waits for the device."""
        solver = self.solver
        progress.advance(solver.iter)
        if progress.is_due(solver.iter):
            progress.update(solver.iter, solver.smoothed_loss, solver.lr, net_losses(solver.net))

    def _takes_best(self) -> bool:
        """Whether the best weights are the result; not where every validation gave NaN."""
        if self.validation is None or not cfg.TRAIN.VAL_TAKE_BEST:
            return False
        return bool(processes.broadcast(int(np.isfinite(self.validation.best))))

    def _validate_if_due(self, max_iters: int, curves: Curves) -> bool:
        """Keeps the best weights; returns whether training should stop."""
        iteration = self.solver.iter
        if self.validation is None or (iteration % cfg.TRAIN.VAL_ITERS and iteration < max_iters):
            return False
        self._losses.check()
        if processes.is_first():
            self._validate(self.validation, curves)
        return bool(processes.broadcast(self.validation.should_stop))

    def _validate(self, validation: Validation, curves: Curves) -> None:
        with unnormalized(self.solver.net, self._regressors()):
            value = validation.value()
            if validation.note(self.solver.iter, value):
                self.solver.net.save(self._best)
        curves.add(self.solver.iter, **{validation.measure: value})
        if validation.should_stop:
            log.info("Training ends: the last %d validations were no better", validation.waited)

    # -------------------------------------------------------------------- snapshots and checkpoints

    def _write_if_due(self) -> None:
        """Between the first and the last iteration: snapshots and checkpoints at their periods."""
        if self.solver.iter % cfg.TRAIN.SNAPSHOT_ITERS == 0:
            self._losses.check()
            self._snapshots.append(self.snapshot())
        if cfg.TRAIN.CHECKPOINT_ITERS and self.solver.iter % cfg.TRAIN.CHECKPOINT_ITERS == 0:
            self.write_checkpoint()

    def _obey(self, signal_number: int) -> None:
        """Writes a checkpoint where a signal asks for it, and stops where it says so."""
        if not signal_number:
            return
        self.write_checkpoint()
        if signal_number in STOPPING:
            raise Interrupted(signal_number, f"at iteration {self.solver.iter}",
                              self.checkpoints.path)

    def snapshot(self) -> str:
        """Writes the net's weights to <prefix>[_<infix>]_iter_<N>.caffemodel; returns the path.

        In the file regressors predict plain targets, in the net they keep predicting normalised
        ones. Of several processes rank 0 writes; all must call it. TrainingError where a weight is
        not finite.
        """
        path = f"{self._stem}_iter_{self.solver.iter}.caffemodel"
        processes.barrier()         # none has failed in the meantime
        if processes.is_first():
            self._check_weights()
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with unnormalized(self.solver.net, self._regressors()):
                self.solver.net.save(path)
            log.info("Wrote snapshot to: %s", path)
        return path

    def _check_weights(self) -> None:
        bad = [name for name, blobs in self.solver.net.params.items()
               if not all(np.isfinite(blob.data).all() for blob in blobs)]
        if bad:
            raise TrainingError(f"iteration {self.solver.iter}: weights of {', '.join(bad)} are "
                                "not finite, so nothing was written; check the annotations, or "
                                "lower base_lr")

    def write_checkpoint(self) -> None:
        """Writes all that the rest of the training depends on; as `snapshot`, all must call it.

        The last checkpoint stays where the loss has exploded since.
        """
        self._losses.check()
        generators = processes.gathered(generator_state())
        if generators is None:
            return
        self._check_weights()
        loss = self.solver.smoothed_loss
        if loss > EXPLODED * max(self._loss_of_checkpoint, 1):
            log.warning("The loss has grown from %.4g to %.4g since the last checkpoint, which is "
                        "kept: lower base_lr", self._loss_of_checkpoint, loss)
            return
        self._loss_of_checkpoint = loss
        state = self.solver.state_dict()
        if not all(np.isfinite(array).all() for array in state.values()):
            raise TrainingError(f"iteration {self.solver.iter}: the solver's state is not finite, "
                                "so no checkpoint was written; lower base_lr")
        self.checkpoints.write({
            "solver": state, "data": self._data_layer.state_dict(),
            **{_section_of(rank): state for rank, state in enumerate(generators)},
            "validation": {} if self.validation is None else self.validation.state_dict(),
            "files": {"images": np.array(self._images_hash),
                      "snapshots": np.array(self._snapshots, dtype=np.str_)}})

    def restore_checkpoint(self) -> bool:
        """Continues from the checkpoint, when there is one; returns whether there is."""
        if not self.checkpoints.exist():
            return False
        saved = self.checkpoints.read()
        try:
            self._load_state(saved)
        except (LookupError, ValueError, TypeError, AttributeError, CaffeError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{self.checkpoints.path} is not a checkpoint of this training "
                                  f"({error}); remove it to start this training over") from None
        log.info("Continuing from %s, iteration %d", self.checkpoints.path, self.solver.iter)
        return True

    def _load_state(self, saved: dict[str, dict[str, np.ndarray]]) -> None:
        if str(saved["files"]["images"]) != self._images_hash:
            raise CheckpointError(f"{self.checkpoints.path} belongs to a training on other images; "
                                  "remove it to start this training over")
        self.solver.load_state_dict(saved["solver"])
        self._loss_of_checkpoint = self.solver.smoothed_loss
        self._data_layer.load_state_dict(saved["data"])
        if self.validation is not None:
            self.validation.load_state_dict(saved["validation"])
        self._snapshots = [path for path in saved["files"]["snapshots"].tolist()
                           if os.path.exists(path)]
        own = _section_of(caffe.solver_rank())
        restore_generators(saved.get(own, saved["generators"]))
        if own not in saved:
            processes.seed_ranks_differently()      # there were fewer processes then


def _check_normalization() -> None:
    if (cfg.TRAIN.HAS_RPN and cfg.TRAIN.BBOX_REG and cfg.TRAIN.BBOX_NORMALIZE_TARGETS
            and not cfg.TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED):
        raise ConfigValueError("a net with an RPN and a box regressor makes its rois while it is "
                               "trained, so statistics of their targets cannot be measured: set "
                               "TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED True")


def _section_of(rank: int) -> str:
    """The section of a checkpoint with the random generators of a process."""
    return f"generators{rank or ''}"


def file_stem(solver_param: SolverParameter) -> str:
    """What the names of a training's files start with: <prefix>[_<infix>]."""
    infix = f"_{cfg.TRAIN.SNAPSHOT_INFIX}" if cfg.TRAIN.SNAPSHOT_INFIX else ""
    return solver_param.snapshot_prefix + infix
