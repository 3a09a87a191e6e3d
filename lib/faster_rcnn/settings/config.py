"""The options of the detector, with their defaults: one tree, `cfg`.

Options are changed by a YAML file (`cfg_from_file`), by KEY VALUE pairs of a command line
(`cfg_from_list`) or, within a `with` block, by `cfg_override`. The merge is strict (merge.py): a
key must exist here and a value must have the kind of the default.
Only layers, tools and the functions that start them read `cfg`; mathematical functions take
arguments.
Intervals written [a, b) include a and exclude b. Sizes are pixels.
"""
import ast
import contextlib
import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from easydict import EasyDict

from faster_rcnn.files import places, safe_yaml
from faster_rcnn.files.reading import read_text
from faster_rcnn.settings.merge import ConfigKeyError, ConfigValueError, merge, restore

if TYPE_CHECKING:
    import caffe

__all__ = ["cfg", "cfg_from_file", "cfg_from_list", "cfg_override", "get_output_dir",
           "results_dir", "ConfigKeyError", "ConfigValueError"]

cfg = EasyDict()

# ---------------------------------------------------------------------------------------- training

cfg.TRAIN = EasyDict()

# Lengths of the shorter side after scaling; one is drawn at random per image
cfg.TRAIN.SCALES = (600,)
# Largest length of the longer side after scaling
cfg.TRAIN.MAX_SIZE = 1000
# Pad input right and below until its sides are multiples of this (PVANet: 32)
cfg.TRAIN.SCALE_MULTIPLE_OF = 1
# Images per minibatch
cfg.TRAIN.IMS_PER_BATCH = 2
# Rois per minibatch, shared evenly by its images; -1: all of them (R-FCN, whose net chooses)
cfg.TRAIN.BATCH_SIZE = 128
# Share of the minibatch that is foreground, at most
cfg.TRAIN.FG_FRACTION = 0.25
# A roi is foreground when its overlap with a ground truth box is >= FG_THRESH ...
cfg.TRAIN.FG_THRESH = 0.5
# ... and background when it is in [LO, HI)
cfg.TRAIN.BG_THRESH_HI = 0.5
cfg.TRAIN.BG_THRESH_LO = 0.1
# Online hard example mining with OHEMDataLayer: the data layer gives all rois, foreground and
# background, and the net keeps the BATCH_SIZE hardest; with OHEM_USE_NMS only of those that overlap
# no harder one by OHEM_NMS_THRESH
cfg.TRAIN.USE_OHEM = False
cfg.TRAIN.OHEM_USE_NMS = True
cfg.TRAIN.OHEM_NMS_THRESH = 0.7
# Train on mirrored images as well
cfg.TRAIN.USE_FLIPPED = True
# ... on images mirrored top to bottom, and on those with rows for columns: with all three an image
# is seen in every position of a square (cells, aerial pictures)
cfg.TRAIN.USE_VFLIPPED = False
cfg.TRAIN.USE_TRANSPOSED = False
# Random changes of images (images/augment.py): a scale factor between these two; MAX_SIZE holds
cfg.TRAIN.SCALE_JITTER = (1.0, 1.0)
# ... amounts of brightness, contrast, saturation (0 to 1) and hue (0 to 0.5)
cfg.TRAIN.COLOR_JITTER = (0.0, 0.0, 0.0, 0.0)
# ... and, when an RPN is trained, the probability of a crop and the smallest share of the area it
# keeps; boxes are clipped, and dropped when their centre is cut off
cfg.TRAIN.RANDOM_CROP = (0.0, 0.5)
# An RPN learns crowds (COCO) as objects, as the original
cfg.TRAIN.USE_ALL_GT = True
# Train box regressors, on rois whose overlap with a ground truth box is >= BBOX_THRESH
cfg.TRAIN.BBOX_REG = True
cfg.TRAIN.BBOX_THRESH = 0.5
# Iterations between snapshots, and a text in their names: <prefix>[_<infix>]_iter_<N>
cfg.TRAIN.SNAPSHOT_ITERS = 10000
cfg.TRAIN.SNAPSHOT_INFIX = ""
# Iterations between checkpoints, from which an interrupted training continues
cfg.TRAIN.CHECKPOINT_ITERS = 500
# Layers whose parameters have other shapes in the initial weights (another number of classes) are
# an error; True: they start as their fillers say
cfg.TRAIN.SKIP_MISMATCHED = False
# Validation: mean AP on a split every VAL_ITERS iterations and at the end, by the test net VAL_NET
# ("": test.prototxt beside the solver; in an alternating schedule that of the schedule, and recall
# while the RPN is trained); the best weights are kept as <prefix>_best.caffemodel, and with
# VAL_TAKE_BEST they, not the last ones, are the result of the training. Training ends when
# VAL_PATIENCE validations in a row (0: any number) were no better. VAL_IMDB "": none
cfg.TRAIN.VAL_IMDB = ""
cfg.TRAIN.VAL_TAKE_BEST = False
cfg.TRAIN.VAL_ITERS = 10000
cfg.TRAIN.VAL_NET = ""
cfg.TRAIN.VAL_PATIENCE = 0
# Iterations between points of the curves (0: mean AP alone); whether TensorBoard gets them too
cfg.TRAIN.CURVE_ITERS = 0
cfg.TRAIN.TENSORBOARD = False
# Iterations between pictures of what is trained on, with annotations, positive anchors and the best
# proposals, in <prefix>_pictures/ (0: none)
cfg.TRAIN.PICTURE_ITERS = 0
# Kept for old configurations; minibatches are always made ahead of time, by LOADER_THREADS threads
cfg.TRAIN.USE_PREFETCH = False
cfg.TRAIN.LOADER_THREADS = 2
# Main memory for what frozen layers make of each image, computed in the first epoch only; whether
# activations are dropped and computed again in backward, in less memory. Results are the same
cfg.TRAIN.FEATURE_CACHE_MB = 0.0
cfg.TRAIN.RECOMPUTE_ACTIVATIONS = False
# Subtract the mean of the regression targets and divide by their standard deviation, per class:
# the measured ones, or (PRECOMPUTED; needed with an RPN in the same net) these
cfg.TRAIN.BBOX_NORMALIZE_TARGETS = True
cfg.TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED = False
cfg.TRAIN.BBOX_NORMALIZE_MEANS = (0.0, 0.0, 0.0, 0.0)
cfg.TRAIN.BBOX_NORMALIZE_STDS = (0.1, 0.1, 0.2, 0.2)
# Weights of dx, dy, dw, dh in the regression loss of the roi's class
cfg.TRAIN.BBOX_INSIDE_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
# Boxes are regressed alike for all classes (R-FCN): targets have 8 columns, of the background and
# of objects, and the blobs of rois have four axes
cfg.TRAIN.AGNOSTIC = False
# Where training rois come from: the imdb's <PROPOSAL_METHOD>_roidb (gt, rpn, selective_search,
# edge_boxes, mcg), and the file or folder that it reads; {imdb} in it is the data set's name,
# "" is the usual place (datasets/proposal_sources.py)
cfg.TRAIN.PROPOSAL_METHOD = "selective_search"
cfg.TRAIN.PROPOSAL_FILE = ""
# What layers with weights multiply in (--precision): float32, or bf16 where the device has it
cfg.TRAIN.PRECISION = "float32"
# Put images of like orientation (wide, tall) into one minibatch
cfg.TRAIN.ASPECT_GROUPING = True

# The data layer feeds an RPN: im_info and gt_boxes instead of rois
cfg.TRAIN.HAS_RPN = False
# An anchor is positive when its overlap is >= POSITIVE or the best one of a ground truth box,
# negative when its best overlap is < NEGATIVE
cfg.TRAIN.RPN_POSITIVE_OVERLAP = 0.7
cfg.TRAIN.RPN_NEGATIVE_OVERLAP = 0.3
# An anchor that is both is negative
cfg.TRAIN.RPN_CLOBBER_POSITIVES = False
# Anchors per image, and the share of positive ones at most
cfg.TRAIN.RPN_BATCHSIZE = 256
cfg.TRAIN.RPN_FG_FRACTION = 0.5
# Proposals: overlap above which NMS drops one; how many enter NMS and leave it (<= 0: all)
cfg.TRAIN.RPN_NMS_THRESH = 0.7
cfg.TRAIN.RPN_PRE_NMS_TOP_N = 12000
cfg.TRAIN.RPN_POST_NMS_TOP_N = 2000
# Proposals narrower or lower than this in the original image are dropped
cfg.TRAIN.RPN_MIN_SIZE = 16
# Weights of dx, dy, dw, dh in the RPN's regression loss
cfg.TRAIN.RPN_BBOX_INSIDE_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
# p > 0: positives weigh p / #positives, negatives (1 - p) / #negatives; -1: all weigh 1 / #examples
cfg.TRAIN.RPN_POSITIVE_WEIGHT = -1.0
# Subtract these means from the RPN's regression targets and divide by these standard deviations
# (the R-FCN schedule measures them); snapshots predict plain targets all the same
cfg.TRAIN.RPN_NORMALIZE_TARGETS = False
cfg.TRAIN.RPN_NORMALIZE_MEANS = (0.0, 0.0, 0.0, 0.0)
cfg.TRAIN.RPN_NORMALIZE_STDS = (1.0, 1.0, 1.0, 1.0)

# ----------------------------------------------------------------------------------------- testing

cfg.TEST = EasyDict()

# Lengths of the shorter side (several, without RPN only: an image pyramid), cap of the longer one
cfg.TEST.SCALES = (600,)
cfg.TEST.MAX_SIZE = 1000
cfg.TEST.SCALE_MULTIPLE_OF = 1
# Images of equal size that a net which makes its own proposals looks at in one pass, at most
cfg.TEST.IMS_PER_BATCH = 1
# Overlap above which the NMS per class drops a detection
cfg.TEST.NMS = 0.3
# Soft NMS per class (Bodla et al. 2017): "" drops as said above; "linear" multiplies the score by
# 1 - overlap instead, where it is NMS or more; "gaussian" by exp(-overlap^2 / SIGMA). A detection
# is dropped when its score has fallen below THRESH. 0, 1, 2, as in soft-nms, mean the same three
cfg.TEST.SOFT_NMS = ""
cfg.TEST.SOFT_NMS_SIGMA = 0.5
cfg.TEST.SOFT_NMS_THRESH = 0.001
# Box voting (Gidaris and Komodakis 2015; PVANet): a detection moves to the mean of all boxes of its
# class that overlap it by 0.5 or more, weighted by score. N > 1: its score becomes the mean of the
# N best of theirs, if that is less; where there are fewer, each missing one counts as
# WEIGHT_EMPTY times their mean
cfg.TEST.BBOX_VOTE = False
cfg.TEST.BBOX_VOTE_N_WEIGHTED_SCORE = 1
cfg.TEST.BBOX_VOTE_WEIGHT_EMPTY = 0.5
# Classify by the raw cls_score (linear SVMs trained afterwards) instead of cls_prob
cfg.TEST.SVM = False
# Apply the regressed deltas to the rois
cfg.TEST.BBOX_REG = True
# ... which are the same for all classes (8 columns of bbox_pred, of background and objects)
cfg.TEST.AGNOSTIC = False
# The net makes its own proposals; otherwise they come from the imdb, as in TRAIN
cfg.TEST.HAS_RPN = False
cfg.TEST.PROPOSAL_METHOD = "selective_search"
cfg.TEST.PROPOSAL_FILE = ""
# As in TRAIN
cfg.TEST.PRECISION = "float32"
cfg.TEST.RPN_NMS_THRESH = 0.7
cfg.TEST.RPN_PRE_NMS_TOP_N = 6000
cfg.TEST.RPN_POST_NMS_TOP_N = 300
cfg.TEST.RPN_MIN_SIZE = 16

# ------------------------------------------------------------------------------------------ common

# Anchors of the RPN: sides of a square anchor in units of the base (16 pixels), and heights over
# widths. Set, they replace those of the prototxts, whose layers follow; empty and 0: as they say
cfg.ANCHOR_SCALES = ()
cfg.ANCHOR_RATIOS = ()
cfg.ANCHOR_BASE = 0
# Given rois that are equal after scaling by this and rounding are computed once (0: never)
cfg.DEDUP_BOXES = 1.0 / 16.0
# Largest dw, dh that is decoded; 0: no limit, as the original. log(1000 / 16) = 4.135 is usual
cfg.BBOX_MAX_LOG_SCALE = 0.0
# Mean of the training images, blue green red: (1, 1, 3)
cfg.PIXEL_MEANS = np.array([[[102.9801, 115.9465, 122.7717]]])
# Seed of the random generators
cfg.RNG_SEED = 3
# A small number that kept divisions finite; kept for old configurations
cfg.EPS = 1e-14
# The folder of the project, of the data and of the nets
cfg.ROOT_DIR = places.root()
cfg.DATA_DIR = os.path.join(cfg.ROOT_DIR, "data")
cfg.MODELS_DIR = os.path.join(cfg.ROOT_DIR, "models", "pascal_voc")
# Name of the MATLAB executable; kept for old configurations
cfg.MATLAB = "matlab"
# Results are written to ROOT_DIR/output/EXP_DIR
cfg.EXP_DIR = "default"
# Run NMS on the GPU when the engine computes there
cfg.USE_GPU_NMS = True
# Number of the GPU
cfg.GPU_ID = 0
# Sum gradients on a GPU in a fixed order (--deterministic): same numbers each time, more time
cfg.DETERMINISTIC = False
# GPUs may round the factors of products and convolutions to TF32 (--tf32): faster, less exact
cfg.USE_TF32 = False

DEFAULTS = copy.deepcopy(cfg)       # not to be changed


def results_dir(*names: str) -> str:
    """ROOT_DIR/output/EXP_DIR[/<name> ...], created when it does not exist."""
    folder = os.path.abspath(os.path.join(cfg.ROOT_DIR, "output", cfg.EXP_DIR, *names))
    os.makedirs(folder, exist_ok=True)
    return folder


def get_output_dir(imdb: Any, net: "caffe.Net | None" = None) -> str:
    """The results_dir of an image database, or of a net tested on it."""
    return results_dir(imdb.name) if net is None else results_dir(imdb.name, net.name)


def cfg_from_file(filename: str) -> None:
    """Merges a YAML file into `cfg`; errors name file and line."""
    text = read_text(filename)
    options = safe_yaml.load(text, filename)
    if options is None:
        return
    if not isinstance(options, dict):
        raise ConfigValueError(f"{filename}: a mapping of options was expected; found {options!r}")
    lines = safe_yaml.key_lines(text, filename)
    merge(options, cfg, lambda path: f"{filename}:{lines[path]}" if path in lines else filename)


def cfg_from_mapping(options: Mapping[str, Any], origin: str) -> None:
    """Merges a mapping of options, as a settings file holds it, into `cfg`; origin: for errors."""
    merge(dict(options), cfg, lambda path: origin)


def cfg_from_list(cfg_list: Sequence[str]) -> None:
    """Merges ["TRAIN.SCALES", "[400, 500]", "EXP_DIR", "foo"], the words after --set, into `cfg`.

    Values are Python literals. A word that is no literal is a text, and so is every value of an
    option whose default is a text.
    """
    if len(cfg_list) % 2:
        raise ConfigValueError(f"--set wants KEY VALUE pairs, but {cfg_list[-1]!r} has no value "
                               "(a list needs quotes: TRAIN.SCALES \"[400, 500]\")")
    for key, text in zip(cfg_list[0::2], cfg_list[1::2]):
        *sections, name = str(key).split(".")
        table = cfg
        for section in sections:
            table = table.get(section) if isinstance(table, dict) else None
        is_text = isinstance(table, dict) and isinstance(table.get(name), str)
        options = {name: text if is_text else _literal(text)}
        for section in reversed(sections):
            options = {section: options}
        merge(options, cfg, lambda path: "--set")


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return text


@contextlib.contextmanager
def cfg_override(**options: Any) -> Iterator[EasyDict]:
    """`with cfg_override(TRAIN={"HAS_RPN": True}):` merges, and restores `cfg` at the end."""
    saved = copy.deepcopy(cfg)
    try:
        merge(options, cfg, lambda path: "cfg_override")
        yield cfg
    finally:
        restore(cfg, saved)
