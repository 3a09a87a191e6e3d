"""The images that a net is trained on: a prepared roidb, with the mirrored ones, without useless
entries.
"""
import hashlib
import logging
import os
from typing import Any

from caffe.core.errors import UserError
from faster_rcnn.minibatches.roidb import log_statistics, prepare_roidb
from faster_rcnn.settings.config import cfg

log = logging.getLogger(__name__)


class NothingToTrainError(UserError, ValueError):
    """Training images without a box to train on."""


def get_training_roidb(imdb: Any) -> list[dict]:
    """The roidb of a data set, prepared for training, with the mirrored and transposed images that
    TRAIN.USE_FLIPPED, USE_VFLIPPED and USE_TRANSPOSED ask for.
    """
    log_statistics(imdb)
    if cfg.TRAIN.USE_FLIPPED:
        log.debug("Appending horizontally-flipped training examples...")
        imdb.append_flipped_images()
    if cfg.TRAIN.USE_VFLIPPED:
        log.debug("Appending vertically-flipped training examples...")
        imdb.append_vflipped_images()
    if cfg.TRAIN.USE_TRANSPOSED:
        log.debug("Appending transposed training examples...")
        imdb.append_transposed_images()
    log.debug("Preparing training data...")
    prepare_roidb(imdb)
    return imdb.roidb


def filter_roidb(roidb: list[dict]) -> list[dict]:
    """The entries that have a roi to train on: a foreground or a background one."""
    def usable(entry: dict) -> bool:
        overlaps = entry["max_overlaps"]
        is_bg = (overlaps < cfg.TRAIN.BG_THRESH_HI) & (overlaps >= cfg.TRAIN.BG_THRESH_LO)
        return (overlaps >= cfg.TRAIN.FG_THRESH).any() or is_bg.any()

    kept = [entry for entry in roidb if usable(entry)]
    log.log(logging.INFO if len(kept) < len(roidb) else logging.DEBUG,
            "Filtered %d roidb entries: %d -> %d", len(roidb) - len(kept), len(roidb), len(kept))
    if roidb and not kept:
        raise NothingToTrainError(f"none of the {len(roidb)} training images has a box to train "
                                  "on; check the annotations, the classes and TRAIN.FG_THRESH")
    return kept


def images_hash(roidb: list[dict]) -> str:
    """A hash of the training images' names and order."""
    names = "\n".join(f"{os.path.basename(entry['image'])} {entry['flipped']}"
                      + "".join(f" {key}" for key in ("vflipped", "transposed") if entry.get(key))
                      for entry in roidb)
    return hashlib.sha256(names.encode()).hexdigest()
