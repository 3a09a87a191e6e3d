"""Training of a detection net on a roidb."""
import contextlib
import logging
import os

import numpy as np

import caffe
from faster_rcnn.minibatches.roidb import add_bbox_regression_targets, log_statistics, prepare_roidb
from faster_rcnn.prototxts.regressors import regressors, unnormalized
from faster_rcnn.prototxts.solver_files import copy_initial_weights
from faster_rcnn.runs import processes
from faster_rcnn.runs.curves import Curves
from faster_rcnn.runs.progress import Progress
from faster_rcnn.runs.timer import Timer
from faster_rcnn.settings.config import cfg
from faster_rcnn.training import checkpoint

log = logging.getLogger(__name__)


class TrainingError(ValueError):
    """A training that cannot go on; the message says at which iteration, and why."""


class SolverWrapper:
    """A solver, and what the detector does around it: targets, snapshots, checkpoints.

    solver_prototxt: path of a solver's prototxt, or a SolverParameter. roidb: prepared entries,
    which get their regression targets here. Snapshots go to output_dir. pretrained_model: weights
    to start from. validation: a fast_rcnn.validation.Validation, or None.

    Attributes: solver, solver_param, output_dir, bbox_means and bbox_stds (4 K,), None without
    TRAIN.BBOX_REG.
    """

    def __init__(self, solver_prototxt, roidb, output_dir, pretrained_model=None, validation=None):
        self.output_dir, self.validation = output_dir, validation
        if (cfg.TRAIN.HAS_RPN and cfg.TRAIN.BBOX_REG and cfg.TRAIN.BBOX_NORMALIZE_TARGETS
                and not cfg.TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED):
            raise ValueError("a net with an RPN and a box regressor makes its rois as it goes, so "
                             "statistics of their targets cannot be measured: set "
                             "TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED True")
        self.bbox_means = self.bbox_stds = None
        if cfg.TRAIN.BBOX_REG:
            log.info("Computing bounding-box regression targets...")
            self.bbox_means, self.bbox_stds = add_bbox_regression_targets(roidb)
        self.solver = caffe.get_solver(solver_prototxt)
        self.solver_param = self.solver.param
        self._regressors()      # says now what does not fit, not after a training
        if pretrained_model is not None:
            self._load_weights(pretrained_model)
        self._data_layer = self.solver.net.layers[0]
        if not hasattr(self._data_layer, "set_roidb"):
            raise ValueError(f"net {self.solver_param.train_net or self.solver_param.net}: the "
                             "first layer must be RoIDataLayer (roi_data_layer.layer)")
        processes.draw_alike()      # the order of the images
        self._data_layer.set_roidb(roidb)
        processes.draw_apart()
        self._images_hash = checkpoint.images_hash(roidb)
        self._snapshots = []
        if validation is not None and processes.is_first():
            validation.attach(self.solver.net)
        processes.train_together(self.solver)

    def _regressors(self):
        return regressors(self.solver.net, self.bbox_means, self.bbox_stds)

    def _load_weights(self, path):
        log.info("Loading pretrained model weights from %s", path)
        report = copy_initial_weights(self.solver.net, path)
        if not report.copied:
            raise ValueError(f"{path} has no weights for any layer of the net; these are another "
                             "net's")
        log.info("  copied: %d layers; not in the file: %s; not in the net: %s", len(report.copied),
                 ", ".join(report.missing) or "none", ", ".join(report.ignored_source) or "none")
        if report.mismatched:
            log.warning("  of other shapes in the file, started anew: %s",
                        ", ".join(report.mismatched))

    def snapshot(self):
        """Writes the net's weights to <prefix>[_<infix>]_iter_<N>.caffemodel; returns the path.

        In the file regressors predict plain targets, in the net they keep predicting normalised
        ones. Of several processes the first writes; all must call it.
        """
        path = f"{self._stem}_iter_{self.solver.iter}.caffemodel"
        processes.wait()            # none has failed in the meantime
        if processes.is_first():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with unnormalized(self.solver.net, self._regressors()):
                self.solver.net.save(path)
            print(f"Wrote snapshot to: {path}", flush=True)
        return path

    @property
    def _stem(self):
        return os.path.join(self.output_dir, file_stem(self.solver_param))

    def train_model(self, max_iters):
        """Trains up to iteration max_iters, unless validation ends it before; returns the paths of
        all snapshots.
        """
        solver, timer = self.solver, Timer()
        display = self.solver_param.display
        images = cfg.TRAIN.IMS_PER_BATCH * self.solver_param.iter_size * caffe.solver_count()
        os.makedirs(os.path.dirname(self._stem), exist_ok=True)
        progress = Progress((solver.iter, max_iters), images, display)
        curves = Curves(self._stem, solver.iter)
        with contextlib.closing(progress), contextlib.closing(curves):
            while solver.iter < max_iters:
                timer.tic()
                solver.step(1)
                timer.toc()
                self._check_loss()
                progress.update(solver.iter, solver.smoothed_loss, solver.lr)
                if display and solver.iter % (10 * display) == 0:
                    print(f"speed: {timer.average_time:.3f}s / iter", flush=True)
                curves.add_losses(solver)
                if self._validate_if_due(max_iters, curves):
                    break
                if solver.iter < max_iters:
                    self._write_if_due()
        self._snapshots.append(self.snapshot())
        if processes.is_first():
            checkpoint.remove(self.checkpoint_path)
        return self._snapshots

    def _validate_if_due(self, max_iters, curves):
        """Keeps the best weights; returns whether training should end."""
        iteration = self.solver.iter
        if self.validation is None or (iteration % cfg.TRAIN.VAL_ITERS and iteration < max_iters):
            return False
        if processes.is_first():
            self._validate(iteration, curves)
        return bool(processes.agree(self.validation.is_hopeless))

    def _validate(self, iteration, curves):
        with unnormalized(self.solver.net, self._regressors()):
            mean_ap = self.validation.mean_ap()
            if self.validation.note(iteration, mean_ap):
                self.solver.net.save(f"{self._stem}_best.caffemodel")
        curves.add(iteration, mean_ap=mean_ap)
        if self.validation.is_hopeless:
            log.info("Training ends: the last %d validations were no better",
                     self.validation.waited)

    def _write_if_due(self):
        """Between the first and the last iteration: snapshots and checkpoints at their periods."""
        if self.solver.iter % cfg.TRAIN.SNAPSHOT_ITERS == 0:
            self._snapshots.append(self.snapshot())
        if cfg.TRAIN.CHECKPOINT_ITERS and self.solver.iter % cfg.TRAIN.CHECKPOINT_ITERS == 0:
            self.write_checkpoint()

    def _check_loss(self):
        """Raises TrainingError when the loss of the last iteration is not finite."""
        if np.isfinite(self.solver.last_loss):
            return
        net, iter_size = self.solver.net, self.solver_param.iter_size
        bad = [name for name in net.outputs if not np.isfinite(net.blobs[name].data).all()]
        images = self._data_layer.recent_images(iter_size)
        raise TrainingError(
            f"iteration {self.solver.iter}: the loss is {self.solver.last_loss} "
            f"({', '.join(bad) or 'in an earlier pass of the iteration'}); images of the "
            f"minibatch: {', '.join(images)}; check their annotations, or lower base_lr")

    # ------------------------------------------------------------------------------- checkpoints

    @property
    def checkpoint_path(self):
        """<prefix>[_<infix>]_checkpoint.npz in output_dir."""
        return f"{self._stem}_checkpoint.npz"

    def write_checkpoint(self):
        """Writes all that the rest of the training depends on; as `snapshot`, all must call it."""
        generators = processes.gathered(checkpoint.generator_state())
        if generators is None:
            return
        os.makedirs(os.path.dirname(self.checkpoint_path), exist_ok=True)
        checkpoint.write(self.checkpoint_path, {
            "solver": self.solver.state_dict(), "data": self._data_layer.state_dict(),
            **{_generators_of(rank): state for rank, state in enumerate(generators)},
            "validation": {} if self.validation is None else self.validation.state_dict(),
            "files": {"images": self._images_hash,
                      "snapshots": np.array(self._snapshots, dtype=np.str_)}})

    def restore_checkpoint(self):
        """Continues from the checkpoint, when there is one; returns whether there is."""
        if not os.path.exists(self.checkpoint_path):
            return False
        saved = checkpoint.read(self.checkpoint_path)
        if str(saved["files"]["images"]) != self._images_hash:
            raise ValueError(f"{self.checkpoint_path} belongs to a training on other images; "
                             "remove it to start this training over")
        self.solver.load_state_dict(saved["solver"])
        self._data_layer.load_state_dict(saved["data"])
        if self.validation is not None:
            self.validation.load_state_dict(saved["validation"])
        self._snapshots = [path for path in saved["files"]["snapshots"].tolist()
                           if os.path.exists(path)]
        own = _generators_of(caffe.solver_rank())
        checkpoint.restore_generators(saved.get(own, saved["generators"]))
        if own not in saved:
            processes.draw_apart()      # there were fewer processes then
        log.info("Continuing from %s, iteration %d", self.checkpoint_path, self.solver.iter)
        return True


def _generators_of(rank):
    """The section of a checkpoint with the random generators of a process."""
    return f"generators{rank or ''}"


def seed_generators():
    """Starts the random generators of numpy and of the engine at cfg.RNG_SEED."""
    np.random.seed(cfg.RNG_SEED)
    caffe.set_random_seed(cfg.RNG_SEED)


def file_stem(solver_param):
    """What the names of a training's files start with: <prefix>[_<infix>]."""
    infix = f"_{cfg.TRAIN.SNAPSHOT_INFIX}" if cfg.TRAIN.SNAPSHOT_INFIX else ""
    return solver_param.snapshot_prefix + infix


def get_training_roidb(imdb):
    """The roidb of a data set, prepared for training, with the mirrored and transposed images that
    TRAIN.USE_FLIPPED, USE_VFLIPPED and USE_TRANSPOSED ask for.
    """
    log_statistics(imdb)
    if cfg.TRAIN.USE_FLIPPED:
        log.info("Appending horizontally-flipped training examples...")
        imdb.append_flipped_images()
    if cfg.TRAIN.USE_VFLIPPED:
        log.info("Appending vertically-flipped training examples...")
        imdb.append_vflipped_images()
    if cfg.TRAIN.USE_TRANSPOSED:
        log.info("Appending transposed training examples...")
        imdb.append_transposed_images()
    log.info("Preparing training data...")
    prepare_roidb(imdb)
    return imdb.roidb


def filter_roidb(roidb):
    """The entries that have a roi to train on: a foreground or a background one."""
    def usable(entry):
        overlaps = entry["max_overlaps"]
        is_bg = (overlaps < cfg.TRAIN.BG_THRESH_HI) & (overlaps >= cfg.TRAIN.BG_THRESH_LO)
        return (overlaps >= cfg.TRAIN.FG_THRESH).any() or is_bg.any()

    kept = [entry for entry in roidb if usable(entry)]
    log.info("Filtered %d roidb entries: %d -> %d", len(roidb) - len(kept), len(roidb), len(kept))
    if roidb and not kept:
        raise ValueError(f"none of the {len(roidb)} training images has a box to train on; check "
                         "the annotations, the classes and TRAIN.FG_THRESH")
    return kept


def train_net(solver_prototxt, roidb, output_dir, pretrained_model=None, max_iters=40000,
              resume=False, figures=None, validation=None):
    """Trains a net; returns the paths of its snapshots, the last one at iteration max_iters unless
    `validation` (a fast_rcnn.validation.Validation) ends the training before.

    resume: continue from the checkpoint in output_dir, when there is one; otherwise it is removed.
    figures: a dict that gets the number of images and the smoothed loss at the end.
    """
    roidb = filter_roidb(roidb)
    wrapper = SolverWrapper(solver_prototxt, roidb, output_dir, pretrained_model, validation)
    if processes.is_first():
        checkpoint.remove(wrapper.checkpoint_path, leftovers_only=resume)
    if resume:
        wrapper.restore_checkpoint()
    print("Solving...", flush=True)
    paths = wrapper.train_model(max_iters)
    print("done solving", flush=True)
    if figures is not None:
        figures.update(images=len(roidb), loss=round(float(wrapper.solver.smoothed_loss), 4))
    return paths
