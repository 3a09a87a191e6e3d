"""The options of the detector, with their defaults: one tree, `cfg`.

Options are changed by a YAML file (`cfg_from_file`), by KEY VALUE pairs of a command line
(`cfg_from_list`) or, within a `with` block, by `cfg_override`. The merge is strict (merge.py): a
key must exist here and a value must have the kind of the default.
Only layers, tools and the functions that start them read `cfg`; mathematical functions take
arguments.
Intervals written [a, b) include a and exclude b. Sizes are pixels.
"""
import contextlib
import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from easydict import EasyDict

from faster_rcnn.files import places, safe_yaml
from faster_rcnn.files.reading import read_text
from faster_rcnn.settings.merge import ConfigKeyError, ConfigValueError, merge, nested, restore

if TYPE_CHECKING:
    import caffe

__all__ = ["cfg", "cfg_from_file", "cfg_from_list", "cfg_override", "get_output_dir",
           "results_dir", "ConfigKeyError", "ConfigValueError"]

cfg = EasyDict()

# ---------------------------------------------------------------------------------------- training

cfg.TRAIN = EasyDict()

# Lengths of the shorter side after scaling; one is drawn at random per image
cfg.TRAIN.SCALES = (600,)
# The longer side is at most this long after scaling
cfg.TRAIN.MAX_SIZE = 1000
# The input is padded on the right and below until its sides are multiples of this (PVANet: 32)
cfg.TRAIN.SCALE_MULTIPLE_OF = 1
# Images per minibatch
cfg.TRAIN.IMS_PER_BATCH = 2
# Rois per minibatch, divided evenly among its images; -1: all of them (R-FCN with OHEM, where the
# net chooses)
cfg.TRAIN.BATCH_SIZE = 128
# Largest share of foreground rois in the minibatch
cfg.TRAIN.FG_FRACTION = 0.25
# A roi is foreground if its largest overlap with a ground truth box is >= FG_THRESH
cfg.TRAIN.FG_THRESH = 0.5
# A roi is background if its largest overlap with a ground truth box is in [LO, HI)
cfg.TRAIN.BG_THRESH_HI = 0.5
cfg.TRAIN.BG_THRESH_LO = 0.1
# Online hard example mining with OHEMDataLayer: the data layer gives all rois, and the net trains
# on the BATCH_SIZE rois with the largest losses. With OHEM_USE_NMS, NMS with OHEM_NMS_THRESH first
# drops rois that overlap one with a larger loss
cfg.TRAIN.USE_OHEM = False
cfg.TRAIN.OHEM_USE_NMS = True
cfg.TRAIN.OHEM_NMS_THRESH = 0.7
# Train on mirrored images as well
cfg.TRAIN.USE_FLIPPED = True
# Train also on images mirrored top to bottom (USE_VFLIPPED) and with rows and columns exchanged
# (USE_TRANSPOSED). With these two and USE_FLIPPED an image is seen in all eight positions of a
# square (for cells, aerial pictures)
cfg.TRAIN.USE_VFLIPPED = False
cfg.TRAIN.USE_TRANSPOSED = False
# Each image is scaled by a random factor between these two; MAX_SIZE still holds
cfg.TRAIN.SCALE_JITTER = (1.0, 1.0)
# Largest random change of brightness, contrast, saturation (0 to 1) and hue (0 to 0.5)
cfg.TRAIN.COLOR_JITTER = (0.0, 0.0, 0.0, 0.0)
# Random crops, only where an RPN is trained: their probability, and the smallest share of the area
# that a crop keeps. Boxes are clipped; a box whose centre is cut off is dropped
cfg.TRAIN.RANDOM_CROP = (0.0, 0.5)
# The RPN learns COCO's crowds as objects, as in the original; False: it ignores them
cfg.TRAIN.USE_ALL_GT = True
# Train box regression, on rois whose overlap with a ground truth box is >= BBOX_THRESH
cfg.TRAIN.BBOX_REG = True
cfg.TRAIN.BBOX_THRESH = 0.5
# Iterations between snapshots, and a text for their file names: <prefix>[_<infix>]_iter_<N>
cfg.TRAIN.SNAPSHOT_ITERS = 10000
cfg.TRAIN.SNAPSHOT_INFIX = ""
# Iterations between checkpoints, from which an interrupted training continues
cfg.TRAIN.CHECKPOINT_ITERS = 500
# What happens if a layer's parameters have another shape in the initial weights (another number of
# classes). False: an error; True: the layer starts with the values of its fillers
cfg.TRAIN.SKIP_MISMATCHED = False
# Validation measures mean AP on the data set VAL_IMDB ("": no validation), every VAL_ITERS
# iterations and at the end, with the test net VAL_NET ("": test.prototxt beside the solver; in an
# alternating schedule the test net of the schedule). While an RPN is trained alone, it measures
# recall instead. The best weights are kept as <prefix>_best.caffemodel; with VAL_TAKE_BEST they are
# the result of the training, else the last ones are. Training ends early when VAL_PATIENCE
# validations in a row were no better (0: never)
cfg.TRAIN.VAL_IMDB = ""
cfg.TRAIN.VAL_TAKE_BEST = False
cfg.TRAIN.VAL_ITERS = 10000
cfg.TRAIN.VAL_NET = ""
cfg.TRAIN.VAL_PATIENCE = 0
# Iterations between points of the curves of losses and learning rate (0: only validations are
# written); whether they are also written for TensorBoard
cfg.TRAIN.CURVE_ITERS = 0
cfg.TRAIN.TENSORBOARD = False
# Every so many iterations a training image is drawn with its annotations, positive anchors and best
# proposals, into <prefix>_pictures/ (0: never)
cfg.TRAIN.PICTURE_ITERS = 0
# LOADER_THREADS threads always make minibatches ahead of time; USE_PREFETCH has no effect and is
# kept for old configurations
cfg.TRAIN.USE_PREFETCH = False
cfg.TRAIN.LOADER_THREADS = 2
# FEATURE_CACHE_MB is main memory in which the features of each image from the frozen layers are
# kept; they are then computed in the first epoch only. RECOMPUTE_ACTIVATIONS drops activations and
# computes them again in the backward pass, which takes less memory and more time. Neither changes
# the results
cfg.TRAIN.FEATURE_CACHE_MB = 0.0
cfg.TRAIN.RECOMPUTE_ACTIVATIONS = False
# Normalise the box regression targets of each class: subtract their mean, divide by their standard
# deviation. These are measured on the training set, or with PRECOMPUTED taken from MEANS and STDS.
# A net with an RPN needs PRECOMPUTED
cfg.TRAIN.BBOX_NORMALIZE_TARGETS = True
cfg.TRAIN.BBOX_NORMALIZE_TARGETS_PRECOMPUTED = False
cfg.TRAIN.BBOX_NORMALIZE_MEANS = (0.0, 0.0, 0.0, 0.0)
cfg.TRAIN.BBOX_NORMALIZE_STDS = (0.1, 0.1, 0.2, 0.2)
# Weights of dx, dy, dw, dh in the box regression loss
cfg.TRAIN.BBOX_INSIDE_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
# Class-agnostic box regression (R-FCN): one box for all classes. The targets have 8 columns, 4 for
# background and 4 for objects, and the blobs of rois have four axes
cfg.TRAIN.AGNOSTIC = False
# Where training rois come from, for nets without an RPN: gt (the annotations), rpn,
# selective_search, edge_boxes or mcg (the imdb's method <PROPOSAL_METHOD>_roidb), and the file or
# folder with them. {imdb} in it stands for the data set's name; "" is the usual place
# (datasets/proposal_sources.py)
cfg.TRAIN.PROPOSAL_METHOD = "selective_search"
cfg.TRAIN.PROPOSAL_FILE = ""
# Number type in which layers with weights multiply (--precision): float32, or bf16 if the device
# has instructions for it
cfg.TRAIN.PRECISION = "float32"
# Put images of the same orientation (wide or tall) into one minibatch
cfg.TRAIN.ASPECT_GROUPING = True

# The net has an RPN: the data layer gives im_info and gt_boxes instead of rois
cfg.TRAIN.HAS_RPN = False
# An anchor is positive if its overlap with a ground truth box is >= POSITIVE, or if no other anchor
# overlaps that box more. It is negative if its largest overlap is < NEGATIVE
cfg.TRAIN.RPN_POSITIVE_OVERLAP = 0.7
cfg.TRAIN.RPN_NEGATIVE_OVERLAP = 0.3
# An anchor that is positive and negative by these rules counts as negative; False: as positive
cfg.TRAIN.RPN_CLOBBER_POSITIVES = False
# Anchors that are trained per image, and the largest share of positive ones among them
cfg.TRAIN.RPN_BATCHSIZE = 256
cfg.TRAIN.RPN_FG_FRACTION = 0.5
# Proposals: NMS drops one whose overlap with a better one is >= NMS_THRESH; how many enter NMS, and
# how many are kept after it (<= 0: all)
cfg.TRAIN.RPN_NMS_THRESH = 0.7
cfg.TRAIN.RPN_PRE_NMS_TOP_N = 12000
cfg.TRAIN.RPN_POST_NMS_TOP_N = 2000
# Proposals whose width or height in the original image is smaller than this are dropped
cfg.TRAIN.RPN_MIN_SIZE = 16
# Weights of dx, dy, dw, dh in the RPN's regression loss
cfg.TRAIN.RPN_BBOX_INSIDE_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
# p > 0: positives weigh p / #positives, negatives (1 - p) / #negatives; -1: all weigh 1 / #examples
cfg.TRAIN.RPN_POSITIVE_WEIGHT = -1.0
# Normalise the RPN's regression targets: subtract these means, divide by these standard deviations
# (the R-FCN schedule measures them). In snapshots the layer is un-normalised again
cfg.TRAIN.RPN_NORMALIZE_TARGETS = False
cfg.TRAIN.RPN_NORMALIZE_MEANS = (0.0, 0.0, 0.0, 0.0)
cfg.TRAIN.RPN_NORMALIZE_STDS = (1.0, 1.0, 1.0, 1.0)

# ----------------------------------------------------------------------------------------- testing

cfg.TEST = EasyDict()

# Length of the shorter side, and largest length of the longer one. A net without an RPN may have
# several SCALES: an image pyramid
cfg.TEST.SCALES = (600,)
cfg.TEST.MAX_SIZE = 1000
cfg.TEST.SCALE_MULTIPLE_OF = 1
# Largest number of images of equal size in one pass, for a net with an RPN
cfg.TEST.IMS_PER_BATCH = 1
# The NMS of each class drops a detection whose overlap with a better one is >= NMS
cfg.TEST.NMS = 0.3
# Soft NMS of each class (Bodla et al. 2017). "": off, plain NMS as above. "linear": where the
# overlap with a better detection is >= NMS, the score is multiplied by 1 - overlap. "gaussian": the
# score is multiplied by exp(-overlap^2 / SIGMA). A detection is dropped when its score falls below
# THRESH. The numbers 0, 1 and 2 of the soft-nms repository stand for these three
cfg.TEST.SOFT_NMS = ""
cfg.TEST.SOFT_NMS_SIGMA = 0.5
cfg.TEST.SOFT_NMS_THRESH = 0.001
# Box voting (Gidaris and Komodakis 2015; PVANet): a detection moves to the mean of all boxes of its
# class that overlap it by 0.5 or more, weighted by their scores. With N_WEIGHTED_SCORE > 1 its
# score becomes the mean of the N best scores of these boxes, if that is less. If there are fewer
# than N boxes, each missing one counts as WEIGHT_EMPTY times their mean score
cfg.TEST.BBOX_VOTE = False
cfg.TEST.BBOX_VOTE_N_WEIGHTED_SCORE = 1
cfg.TEST.BBOX_VOTE_WEIGHT_EMPTY = 0.5
# Scores are cls_score (of linear SVMs, tools/train_svms.py) instead of the softmax cls_prob
cfg.TEST.SVM = False
# Move the rois by the predicted deltas; False: the rois themselves are the detections
cfg.TEST.BBOX_REG = True
# Class-agnostic box regression (R-FCN): bbox_pred has 8 columns, 4 for background, 4 for objects
cfg.TEST.AGNOSTIC = False
# The net has an RPN, which makes the proposals; otherwise PROPOSAL_METHOD and PROPOSAL_FILE say
# where they come from, as in TRAIN
cfg.TEST.HAS_RPN = False
cfg.TEST.PROPOSAL_METHOD = "selective_search"
cfg.TEST.PROPOSAL_FILE = ""
# The same as in TRAIN
cfg.TEST.PRECISION = "float32"
cfg.TEST.RPN_NMS_THRESH = 0.7
cfg.TEST.RPN_PRE_NMS_TOP_N = 6000
cfg.TEST.RPN_POST_NMS_TOP_N = 300
cfg.TEST.RPN_MIN_SIZE = 16

# ------------------------------------------------------------------------------------------ common

# Anchors of the RPN: SCALES are the sides of a square anchor in units of BASE (usually 16 pixels),
# RATIOS are height / width. Where they are set, they replace the anchors of the prototxts, and the
# number of outputs of the RPN follows. Empty, or 0: the anchors of the prototxts
cfg.ANCHOR_SCALES = ()
cfg.ANCHOR_RATIOS = ()
cfg.ANCHOR_BASE = 0
# Without an RPN: rois that become equal when multiplied by this and rounded are computed only once
# (0: all are computed)
cfg.DEDUP_BOXES = 1.0 / 16.0
# Larger predicted dw, dh are cut to this; 0: no limit, as in the original. Other programs usually
# take log(1000 / 16) = 4.135
cfg.BBOX_MAX_LOG_SCALE = 0.0
# Mean of the training images, in the order blue, green, red; shape (1, 1, 3)
cfg.PIXEL_MEANS = np.array([[[102.9801, 115.9465, 122.7717]]])
# Seed of the random generators
cfg.RNG_SEED = 3
# Has no effect; kept for old configurations
cfg.EPS = 1e-14
# The folder of the project, of the data and of the nets
cfg.ROOT_DIR = places.root()
cfg.DATA_DIR = os.path.join(cfg.ROOT_DIR, "data")
cfg.MODELS_DIR = os.path.join(cfg.ROOT_DIR, "models", "pascal_voc")
# Has no effect (name of the MATLAB executable); kept for old configurations
cfg.MATLAB = "matlab"
# Results are written to ROOT_DIR/output/EXP_DIR
cfg.EXP_DIR = "default"
# Run NMS on the GPU if the net computes there
cfg.USE_GPU_NMS = True
# Number of the GPU
cfg.GPU_ID = 0
# Sum gradients on a GPU in a fixed order (--deterministic): the same run gives the same numbers,
# and takes longer
cfg.DETERMINISTIC = False
# A GPU may round the inputs of matrix products and convolutions to TF32 (--tf32): faster, less
# exact
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
    """Merges ["TRAIN.SCALES", "[400, 500]", "EXP_DIR", "foo"], as after --set, into `cfg`."""
    if len(cfg_list) % 2:
        raise ConfigValueError(f"--set wants KEY VALUE pairs, but {cfg_list[-1]!r} has no value "
                               "(a list needs quotes: TRAIN.SCALES \"[400, 500]\")")
    for key, text in zip(cfg_list[0::2], cfg_list[1::2]):
        merge(nested(str(key), text, cfg), cfg, lambda path: "--set")


@contextlib.contextmanager
def cfg_override(**options: Any) -> Iterator[EasyDict]:
    """`with cfg_override(TRAIN={"HAS_RPN": True}):` merges, and restores `cfg` at the end."""
    saved = copy.deepcopy(cfg)
    try:
        merge(options, cfg, lambda path: "cfg_override")
        yield cfg
    finally:
        restore(cfg, saved)
