"""The data layer of training nets.

    layer { name: "data" type: "Python" top: "data" top: "im_info" top: "gt_boxes"
            python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer"
                           param_str: "'num_classes': 21" } }
"""
import collections

import numpy as np
import torch

import caffe
from faster_rcnn.images.augment import turned_words
from faster_rcnn.minibatches.loader import MinibatchLoader
from faster_rcnn.minibatches.minibatch import MinibatchOptions, get_minibatch
from faster_rcnn.minibatches.order import ImageOrder
from faster_rcnn.settings.config import cfg
from faster_rcnn.settings.layer_params import layer_params
from roi_data_layer.hard_examples import OHEMDataLayer  # noqa: F401  (nets look for it here)


class RoIDataLayer(caffe.TensorLayer):
    """Feeds minibatches of a roidb; its tops are the blobs of minibatch.get_minibatch, in order.

    param_str: num_classes. `set_roidb` must be called before the first forward pass.
    """

    def setup(self, bottom, top):
        self._num_classes = layer_params(self, required=["num_classes"])["num_classes"]
        self._loader = None
        self._recent = collections.deque(maxlen=64)
        names = MinibatchOptions.from_cfg().top_names
        if len(top) != len(names):
            raise ValueError(
                f"RoIDataLayer: the net has {len(top)} tops, but with TRAIN.HAS_RPN "
                f"{cfg.TRAIN.HAS_RPN} and TRAIN.BBOX_REG {cfg.TRAIN.BBOX_REG} there are "
                f"{len(names)}: {', '.join(names)}")
        for name, blob in zip(names, top):
            blob.reshape(*self._usual_shape(name))

    def _usual_shape(self, name):
        """The shape of a top before the first minibatch, which has its own."""
        images, more = cfg.TRAIN.IMS_PER_BATCH, (1, 1) if cfg.TRAIN.AGNOSTIC else ()
        multiple = cfg.TRAIN.SCALE_MULTIPLE_OF
        height, width = (-(-side // multiple) * multiple
                         for side in (max(cfg.TRAIN.SCALES), cfg.TRAIN.MAX_SIZE))
        return {"data": (images, 3, height, width),
                "im_info": (images, 3), "gt_boxes": (1, 5 if images == 1 else 6),
                "rois": (1, 5, *more),
                "labels": (1, *more, *more[1:])}.get(name, (1, 4 * self._num_classes, *more))

    def set_roidb(self, roidb):
        """Takes the prepared entries to train on; their order is drawn from a seed of numpy's
        generator. Solvers that train together share the minibatches out (caffe.set_solver_count).
        """
        classes = 2 if cfg.TRAIN.AGNOSTIC else roidb[0]["gt_overlaps"].shape[1]
        if classes != self._num_classes and not cfg.TRAIN.HAS_RPN:
            raise ValueError(f"RoIDataLayer: the net is for {self._num_classes} classes "
                             f"(num_classes), the data set has {classes}, with the background "
                             "(with TRAIN.AGNOSTIC all count as one)")
        wide = None
        if cfg.TRAIN.ASPECT_GROUPING:
            wide = np.array([entry["width"] >= entry["height"] for entry in roidb], bool)
        order = ImageOrder(len(roidb), cfg.TRAIN.IMS_PER_BATCH, np.random.randint(2 ** 31), wide,
                           share=(caffe.solver_rank(), caffe.solver_count()))
        self._roidb = roidb
        self._loader = MinibatchLoader(order, _maker(roidb, self._num_classes),
                                       cfg.TRAIN.LOADER_THREADS)

    def forward(self, *bottom):
        """The next minibatch on the net's device."""
        if self._loader is None:
            raise ValueError("RoIDataLayer: call set_roidb before the first forward pass")
        inds, blobs = self._loader.next()
        self._recent.append(inds)
        device = caffe.state.device()
        return tuple(blob.to(device, non_blocking=True) for blob in blobs)

    def recent_images(self, num_minibatches):
        """Paths of the images of the last minibatches, with a word about mirrored ones."""
        entries = [self._roidb[i] for inds in list(self._recent)[-num_minibatches:] for i in inds]
        return [entry["image"] + turned_words(entry) for entry in entries]

    def state_dict(self):
        """Arrays that say where in the data training is, as of the last minibatch fed."""
        return self._loader.state_dict()

    def load_state_dict(self, state):
        """Continues as if the minibatches before the state had been fed."""
        self._loader.load_state_dict(state)


def _maker(roidb, num_classes):
    """A function (image numbers, seed) -> tensors of a minibatch, in pinned memory for a GPU."""
    pinned = caffe.state.device().type == "cuda"
    options = MinibatchOptions.from_cfg()

    def make(inds, seed):
        entries = [roidb[i] for i in inds]
        blobs = get_minibatch(entries, num_classes, np.random.RandomState(seed), options)
        tensors = [torch.from_numpy(blobs[name]) for name in options.top_names]
        return [tensor.pin_memory() for tensor in tensors] if pinned else tensors
    return make
