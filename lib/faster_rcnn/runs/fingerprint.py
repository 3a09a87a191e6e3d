"""Hashes that tell whether a data set or the settings changed since a step was run."""
import hashlib
import os

import numpy as np

from faster_rcnn.files.atomic import file_hash, json_hash

# Settings without influence on results: where things are, and how the work is spread
INDIFFERENT = {"ROOT_DIR", "DATA_DIR", "MODELS_DIR", "EXP_DIR", "MATLAB", "GPU_ID"}
INDIFFERENT_IN_TRAINING = {"SNAPSHOT_ITERS", "CHECKPOINT_ITERS", "LOADER_THREADS", "USE_PREFETCH",
                           "CURVE_ITERS", "TENSORBOARD"}


def settings_hash(cfg, section):
    """Hash of the common settings and of one section ("TRAIN" or "TEST")."""
    common = {key: value for key, value in cfg.items()
              if key not in INDIFFERENT and not isinstance(value, dict)}
    own = {key: value for key, value in cfg[section].items()
           if key not in INDIFFERENT_IN_TRAINING}
    return json_hash(_plain({"common": common, section: own}))


def data_hash(imdb):
    """Hash of classes, image names and sizes in bytes, and annotated boxes."""
    imdb.set_proposal_method("gt")
    digest = hashlib.sha256(repr((imdb.name, tuple(imdb.classes))).encode())
    for index, entry in enumerate(imdb.roidb):
        path = imdb.image_path_at(index)
        size = os.path.getsize(path) if os.path.exists(path) else None
        digest.update(repr((os.path.basename(path), size)).encode())
        for key in ("boxes", "gt_classes"):
            digest.update(np.ascontiguousarray(entry[key], dtype=np.float64).tobytes())
    return digest.hexdigest()


def proposals_hash(imdb, method, path):
    """Hash of the file that a proposal method reads, or the path of a folder; None for no file.

    The method stays set; see imdb.set_proposal_method.
    """
    imdb.set_proposal_method(method, path)
    if method not in getattr(imdb, "file_methods", ()):
        return None
    found = imdb.proposal_path(method)
    return file_hash(found) if os.path.isfile(found) else found


def _plain(value):
    """Nested settings as JSON's types; tuples are lists, arrays nested lists."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
