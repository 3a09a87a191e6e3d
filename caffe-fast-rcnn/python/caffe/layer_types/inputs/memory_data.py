"""MemoryData: batches of arrays that the user sets (Caffe: memory_data_layer.cpp)."""
import logging
import math

import numpy as np
import torch
from torch import Tensor

from caffe.layer_types.common.module import Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.inputs.source import Source
from caffe.proto.caffe_pb2 import LayerParameter

log = logging.getLogger("caffe")


@register("MemoryData")
class MemoryData(Source):
    """Tops: data (N, C, H, W), labels (N, 1, 1, 1): parts of the arrays in turn, repeatedly.

    The labels have the shape (N,) until the first pass, as in Caffe.
    """

    tops = (2, 2)
    fresh_tops = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.memory_data_param
        self._shape = p.batch_size, p.channels, p.height, p.width
        if math.prod(self._shape) == 0:
            raise self.error("expected batch_size, channels, height and width > 0, got "
                             f"{', '.join(map(str, self._shape))}")
        self._arrays: tuple[np.ndarray, np.ndarray] | None = None
        self._position = 0

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        return [self._shape, self._shape[:1]]

    def set_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """data (n, C, H, W) and labels (n,) or (n, 1, 1, 1), float32, n a multiple of the batch.

        The arrays are not copied: what is changed in them later counts (pycaffe: set_input_arrays).
        """
        if isinstance(labels, np.ndarray) and labels.ndim == 1:
            labels = np.ascontiguousarray(labels[:, np.newaxis, np.newaxis, np.newaxis])
        batch_size, *item = self._shape
        self._check(data, "data", item)
        self._check(labels, "labels", [1, 1, 1])
        if len(data) != len(labels):
            raise self.error(f"expected as many labels as data, got {len(labels)} and {len(data)}")
        if not len(data) or len(data) % batch_size:
            raise self.error(f"expected a multiple of the batch size {batch_size} of data, got "
                             f"{len(data)}")
        if self.param.HasField("transform_param"):
            log.warning('layer "%s" (%s): transform_param has no effect on arrays', self.name,
                        self.type)
        self._arrays, self._position = (data, labels), 0

    def _check(self, array: np.ndarray, what: str, item: list[int]) -> None:
        wanted = f"a C-contiguous float32 array of shape (n, {', '.join(map(str, item))})"
        if not isinstance(array, np.ndarray):
            raise self.error(f"{what}: expected {wanted}, got {type(array).__name__}")
        if array.dtype != np.float32 or list(array.shape[1:]) != item \
                or not array.flags.c_contiguous:
            order = "" if array.flags.c_contiguous else ", not C-contiguous"
            raise self.error(f"{what}: expected {wanted}, got {array.dtype} of shape "
                             f"{array.shape}{order}")

    def forward(self) -> tuple[Tensor, ...]:
        if self._arrays is None:
            raise self.error("has no data yet; call net.set_input_arrays(data, labels) first")
        begin = self._position
        end = begin + self._shape[0]
        self._position = end % len(self._arrays[0])
        return tuple(torch.tensor(array[begin:end]).to(self.where) for array in self._arrays)
