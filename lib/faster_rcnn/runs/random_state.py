"""The random generators of numpy and of the engine: seeded, saved, restored."""
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import caffe
from faster_rcnn.settings.config import cfg


def seed_generators() -> None:
    """Seeds the generators with cfg.RNG_SEED."""
    np.random.seed(cfg.RNG_SEED)
    caffe.set_random_seed(cfg.RNG_SEED)


def generator_state() -> dict[str, np.ndarray]:
    """The states of the generators as arrays."""
    generator: Any = np.random.get_state(legacy=True)
    _, keys, position, has_gauss, gauss = generator
    state = {"numpy": keys, "numpy_position": np.array([position, has_gauss]),
             "numpy_gauss": np.array(gauss), "torch": torch.get_rng_state().numpy()}
    if caffe.state.device().type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(caffe.state.device()).numpy()
    return state


def restore_generators(state: Mapping[str, np.ndarray]) -> None:
    """Sets the generators to what `generator_state` returned."""
    position, has_gauss = state["numpy_position"].tolist()
    np.random.set_state(("MT19937", state["numpy"], position, has_gauss,
                         float(state["numpy_gauss"])))
    torch.set_rng_state(torch.from_numpy(state["torch"]))
    if "cuda" in state and caffe.state.device().type == "cuda":
        torch.cuda.set_rng_state(torch.from_numpy(state["cuda"]), caffe.state.device())
