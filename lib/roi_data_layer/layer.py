"""The data layer of training nets.

    layer { name: "data" type: "Python" top: "data" top: "im_info" top: "gt_boxes"
            python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer"
                           param_str: "'num_classes': 21" } }
"""
import collections
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import torch

import caffe
from caffe.core.errors import InputError
from faster_rcnn.images.augment import turned_words
from faster_rcnn.minibatches.loader import RECENT, MinibatchLoader
from faster_rcnn.minibatches.minibatch import drawn_scales, get_minibatch
from faster_rcnn.minibatches.options import MinibatchOptions
from faster_rcnn.minibatches.order import ImageOrder
from faster_rcnn.settings.layer_params import layer_params
from roi_data_layer.hard_examples import OHEMDataLayer  # noqa: F401  (nets look for it here)
from roi_data_layer.original_names import BlobFetcher  # noqa: F401

# A minibatch: its tensors, and the scale of each image
Minibatch = tuple[list[torch.Tensor], list[float]]
Make = Callable[[np.ndarray, int], Minibatch]


class RoIDataLayer(caffe.TensorLayer):
    """Feeds minibatches of a roidb; its tops are the blobs of minibatch.get_minibatch, in order.

    Fast R-CNN's first nets have five tops: data, rois, labels, bbox_targets and bbox_loss_weights,
    which are the inside weights.
    param_str: num_classes (with TRAIN.AGNOSTIC it does not matter). `set_roidb` must be called
    before the first forward pass. The settings are those of cfg.TRAIN when the layer is set up.
    """

    def setup(self, bottom: Any, top: Any) -> None:
        self._num_classes = layer_params(self, required=["num_classes"])["num_classes"]
        self._loader: MinibatchLoader | None = None
        self._recent: collections.deque[np.ndarray] = collections.deque(maxlen=RECENT)
        self._keys: list[Hashable] = []
        self.num_fed = 0        # minibatches since the net was built
        self._options = MinibatchOptions.from_cfg()
        self._names = self._options.names_of(len(top))
        for name, blob in zip(self._names, top):
            blob.reshape(*self._options.usual_shape(name, self._num_classes))

    def set_roidb(self, roidb: list[dict[str, Any]]) -> None:
        """Takes the prepared entries to train on; their order is drawn from a seed of numpy's
        global generator. Solvers that train together take minibatches in turn
        (caffe.set_solver_count)."""
        options = self._options
        classes = roidb[0]["gt_overlaps"].shape[1]
        counts = not options.has_rpn and not options.rois.agnostic
        if classes != self._num_classes and counts:
            raise InputError(f"RoIDataLayer: the net is for {self._num_classes} classes "
                             f"(num_classes), the data set has {classes}, with the background")
        wide = None
        if options.aspect_grouping:
            wide = np.array([entry["width"] >= entry["height"] for entry in roidb], bool)
        order = ImageOrder(len(roidb), options.rois.ims_per_batch, np.random.randint(2 ** 31), wide,
                           share=(caffe.solver_rank(), caffe.solver_count()))
        self._roidb = roidb
        self._loader = MinibatchLoader(order, self._maker(roidb),
                                       options.loader_threads)

    def forward(self, *bottom: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The next minibatch on the net's device."""
        inds, (blobs, scales) = self._started().next()
        self._recent.append(inds)
        self._keys = list(zip(inds.tolist(), scales))
        self.num_fed += 1
        device = caffe.state.device()
        return tuple(blob.to(device, non_blocking=True) for blob in blobs)

    def image_keys(self) -> list[Hashable] | None:
        """What decides each image of the last minibatch: the entry, in its position, and the scale;
        None where images are changed at random."""
        return None if self._options.changes.any() else self._keys

    def recent_images(self, num_minibatches: int) -> list[str]:
        """Paths of the images of the last minibatches (at most RECENT), with a note on mirrored."""
        entries = [self._roidb[i] for inds in list(self._recent)[-num_minibatches:] for i in inds]
        return [entry["image"] + turned_words(entry) for entry in entries]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Arrays that say where in the data training is, after the last minibatch fed."""
        return self._started().state_dict()

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Continues as if the minibatches before the state had been fed."""
        self._started().load_state_dict(state)

    def _started(self) -> MinibatchLoader:
        if self._loader is None:
            raise ValueError("RoIDataLayer: call set_roidb before the first forward pass")
        return self._loader

    def _maker(self, roidb: list[dict[str, Any]]) -> Make:
        """A function (indices of images, seed) -> tensors of the tops, in pinned memory for a GPU.
        """
        names, num_classes, options = self._names, self._num_classes, self._options
        pinned = caffe.state.device().type == "cuda"

        def make(inds: np.ndarray, seed: int) -> Minibatch:
            entries = [roidb[i] for i in inds]
            blobs = get_minibatch(entries, num_classes, np.random.RandomState(seed), options)
            tensors = [torch.from_numpy(blobs[name]) for name in names]
            scales = drawn_scales(len(inds), np.random.RandomState(seed), options)
            return [tensor.pin_memory() for tensor in tensors] if pinned else tensors, scales
        return make
