"""Checkpoints: one .npz file from which an interrupted training continues as if nothing had
happened.
"""
import contextlib
import glob
import hashlib
import os
import zipfile

import numpy as np
import torch

import caffe
from faster_rcnn.files.atomic import atomic_open


def write(path, sections):
    """Writes {section: {name: array}} to an .npz file, whole or not at all; sections have no
    colon.
    """
    arrays = {f"{section}:{name}": np.asarray(value)
              for section, values in sections.items() for name, value in values.items()}
    with atomic_open(path, "wb") as file:
        np.savez(file, **arrays)


def read(path):
    """What `write` wrote; ValueError when the file is damaged."""
    sections = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                section, _, name = key.partition(":")
                sections.setdefault(section, {})[name] = file[key]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a checkpoint that can be read ({error}); remove it to "
                         "start this training over") from None
    return sections


def remove(path, leftovers_only=False):
    """Removes a checkpoint and what a killed process left of one."""
    folder, name = os.path.split(os.path.abspath(path))
    doomed = glob.glob(os.path.join(glob.escape(folder), f".{glob.escape(name)}.*"))
    for file in doomed if leftovers_only else [*doomed, path]:
        with contextlib.suppress(FileNotFoundError):
            os.remove(file)


def generator_state():
    """The states of numpy's and torch's random generators, as arrays."""
    _, keys, position, has_gauss, gauss = np.random.get_state()
    state = {"numpy": keys, "numpy_position": [position, has_gauss], "numpy_gauss": gauss,
             "torch": torch.get_rng_state().numpy()}
    if caffe.state.device().type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(caffe.state.device()).numpy()
    return state


def restore_generators(state):
    """Puts the random generators where `generator_state` found them."""
    position, has_gauss = state["numpy_position"].tolist()
    np.random.set_state(("MT19937", state["numpy"], position, has_gauss,
                         float(state["numpy_gauss"])))
    torch.set_rng_state(torch.from_numpy(state["torch"]))
    if "cuda" in state and caffe.state.device().type == "cuda":
        torch.cuda.set_rng_state(torch.from_numpy(state["cuda"]), caffe.state.device())


def images_hash(roidb):
    """A hash of the training images' names and order."""
    names = "\n".join(f"{os.path.basename(entry['image'])} {entry['flipped']}"
                      + "".join(f" {key}" for key in ("vflipped", "transposed") if entry.get(key))
                      for entry in roidb)
    return hashlib.sha256(names.encode()).hexdigest()
