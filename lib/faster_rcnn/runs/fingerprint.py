"""What a recorded step was made from: settings by name, hashes of data sets and proposals.

All functions here only read; none changes a data set or the settings.
"""
import copy
import hashlib
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.files.atomic import file_hash

# Settings without influence on results: where files are, and how the work is distributed
WITHOUT_INFLUENCE = {"ROOT_DIR", "DATA_DIR", "MODELS_DIR", "EXP_DIR", "MATLAB", "GPU_ID",
                     "DETERMINISTIC"}
WITHOUT_INFLUENCE_IN_TRAINING = {"SNAPSHOT_ITERS", "CHECKPOINT_ITERS", "LOADER_THREADS",
                                 "USE_PREFETCH", "CURVE_ITERS", "TENSORBOARD", "PICTURE_ITERS",
                                 "FEATURE_CACHE_MB", "RECOMPUTE_ACTIVATIONS"}


class NoAnnotationsError(UserError, ValueError):
    """A data set class that gives no annotated boxes."""


def settings_in_force(cfg: dict, sections: Iterable[str]) -> dict[str, Any]:
    """The common settings and those of some sections ("TRAIN", "TEST"), by dotted name.

    Values are JSON's types. Settings that do not change results are left out.
    """
    found = {key: value for key, value in cfg.items()
             if key not in WITHOUT_INFLUENCE and not isinstance(value, dict)}
    for section in sections:
        found.update((f"{section}.{key}", value) for key, value in cfg[section].items()
                     if key not in WITHOUT_INFLUENCE_IN_TRAINING)
    return {name: _plain(value) for name, value in sorted(found.items())}


def data_hash(imdb: Any) -> str:
    """Hash of classes, image names and sizes in bytes, and annotated boxes of a data set."""
    if not hasattr(imdb, "gt_roidb"):
        raise NoAnnotationsError(f"{imdb.name}: its class {type(imdb).__name__} must have a method "
                                 "gt_roidb, which gives the annotated boxes")
    digest = hashlib.sha256(repr((imdb.name, tuple(imdb.classes))).encode())
    for index, entry in enumerate(imdb.gt_roidb()):
        path = imdb.image_path_at(index)
        size = os.path.getsize(path) if os.path.exists(path) else None
        digest.update(repr((os.path.basename(path), size)).encode())
        for key in ("boxes", "gt_classes"):
            digest.update(np.ascontiguousarray(entry[key], dtype=np.float64).tobytes())
    return digest.hexdigest()


def proposals_hash(imdb: Any, method: str, path: str) -> str | None:
    """Hash of the file that a proposal method reads, or the path of a folder; None for no file.

    path: as in imdb.set_proposal_method.
    """
    if method not in getattr(imdb, "file_methods", ()):
        return None
    reader = copy.copy(imdb)
    reader.config = dict(imdb.config, proposal_file=path.replace("{imdb}", imdb.name))
    found = reader.proposal_path(method)
    return file_hash(found) if os.path.isfile(found) else found


def _plain(value: Any) -> Any:
    """A setting in JSON's types: tuples and arrays become lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
