"""Blobs: the values between layers, and the learnable ones (pycaffe: caffe._caffe.Blob)."""
import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from caffe.core import state
from caffe.core.errors import CaffeError
from caffe.core.memory import Memory
from caffe.core.types import Shape


class Blob:
    """Values (`data`) and their gradient (`diff`), float32, of any shape.

    data, diff: numpy arrays that share the blob's memory, to be read and written in place; an array
    stays valid, and shows the blob's newest values, as long as the blob keeps its shape.
    tensor: the values on the net's device; assigning copies nothing if device and type are right.
    """

    def __init__(self, shape: Sequence[int] = (), device: torch.device | None = None) -> None:
        device = state.device() if device is None else device
        self.values = Memory(shape, device)
        self.gradient = Memory(shape, device)

    @property
    def data(self) -> np.ndarray:
        return self.values.array()

    @data.setter
    def data(self, values: ArrayLike) -> None:
        self.values.array()[...] = values

    @property
    def diff(self) -> np.ndarray:
        self.gradient.fit(self.values.shape)
        return self.gradient.array()

    @diff.setter
    def diff(self, values: ArrayLike) -> None:
        self.diff[...] = values

    @property
    def tensor(self) -> Tensor:
        tensor = self.values.get()
        self.values.lend(tensor)
        return tensor

    @tensor.setter
    def tensor(self, tensor: ArrayLike | Tensor) -> None:
        self.values.set(torch.as_tensor(tensor).detach().to(self.values.device, torch.float32),
                        owned=False)

    @property
    def shape(self) -> Shape:
        return self.values.shape

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def num(self) -> int:
        return self._legacy_axis(0)

    @property
    def channels(self) -> int:
        return self._legacy_axis(1)

    @property
    def height(self) -> int:
        return self._legacy_axis(2)

    @property
    def width(self) -> int:
        return self._legacy_axis(3)

    def _legacy_axis(self, axis: int) -> int:
        shape = self.shape
        if len(shape) > 4:
            raise CaffeError("num, channels, height and width are for blobs with at most 4 axes, "
                             f"this one has shape {shape}; use shape")
        return shape[axis] if axis < len(shape) else 1

    def reshape(self, *dims: int) -> None:
        """Changes the shape. A blob that does not grow keeps its first values; else all are 0."""
        shape = tuple(int(d) for d in dims)
        if min(shape, default=0) < 0:
            raise CaffeError(f"a blob cannot have the shape {shape}: sizes are 0 or more")
        self.values.fit(shape)

    def top_diff(self) -> Tensor | None:
        """The gradient tensor, float32 or bfloat16, or None where all of it is 0."""
        memory = self.gradient
        if memory.shape != self.values.shape:
            memory.fit(self.values.shape)
        return None if memory.is_unset and memory.fill == 0 else memory.as_is()

    def set_diff(self, tensor: Tensor | None) -> None:
        """Sets the gradient; None stands for 0."""
        if tensor is None:
            self.gradient.unset(self.values.shape)
        else:
            self.gradient.set(tensor, owned=False)

    @property
    def _gpu_data_ptr(self) -> int:
        return self.tensor.data_ptr()

    @property
    def _gpu_diff_ptr(self) -> int:
        self.gradient.fit(self.values.shape)
        return self.gradient.get().data_ptr()


class ParamBlob(Blob):
    """A learnable blob: an nn.Parameter that keeps its memory; gradients add up in its diff."""

    def __init__(self, parameter: nn.Parameter) -> None:
        super().__init__(parameter.shape, parameter.device)
        self.parameter = parameter
        self.values = Memory(parameter.shape, parameter.device, parameter.data, keeps_layout=True)
        self.gradient.keeps_layout = True

    @property
    def tensor(self) -> Tensor:
        self.values.get()
        self.values.lend(self.parameter)
        return self.parameter

    @tensor.setter
    def tensor(self, tensor: Tensor) -> None:
        self.values.copy_(tensor)

    def reshape(self, *dims: int) -> None:
        super().reshape(*dims)
        self.parameter.data = self.values.get()

    def share_values(self, other: "ParamBlob") -> None:
        """Shares the values of `other` from now on (Caffe: Blob::ShareData)."""
        self.values = other.values
        self.parameter.data = other.values.get()

    def accumulate(self, tensor: Tensor) -> None:
        """Adds to the gradient."""
        self.gradient.add(tensor)


class SharedParamBlob(Blob):
    """A view of another learnable blob under a shape of its own, of the same size."""

    def __init__(self, owner: ParamBlob, shape: Sequence[int]) -> None:
        self.owner = owner
        self._shape = tuple(shape)
        if not owner.parameter.is_contiguous():
            owner.parameter.data = owner.parameter.data.contiguous()
            owner.values = Memory(owner.shape, owner.values.device, owner.parameter.data,
                                  keeps_layout=True)
        self.parameter = nn.Parameter(owner.parameter.data.view(shape))

    shape = property(lambda self: self._shape)
    tensor = property(lambda self: self.owner.tensor.view(self._shape))
    data = property(lambda self: self.owner.data.reshape(self._shape))
    diff = property(lambda self: self.owner.diff.reshape(self._shape))
    values = property(lambda self: self.owner.values)
    gradient = property(lambda self: self.owner.gradient)

    def share_values(self, other: ParamBlob) -> None:
        """Views the owner's memory anew; the owner already shares the values of the other net."""
        self.parameter.data = self.owner.parameter.data.view(self._shape)

    def accumulate(self, tensor: Tensor) -> None:
        """Adds to the owner's gradient."""
        self.owner.accumulate(tensor.reshape(self.owner.shape))


AnyParamBlob = ParamBlob | SharedParamBlob


class BlobVec(list):
    """A list of blobs; `add_blob(*dims)` appends a learnable one of zeros."""

    def __init__(self, blobs: Iterable[Blob] = (), device: torch.device | None = None) -> None:
        super().__init__(blobs)
        self.device = device

    def add_blob(self, *dims: int) -> None:
        zeros = torch.zeros(tuple(int(d) for d in dims),
                            device=state.device() if self.device is None else self.device)
        self.append(ParamBlob(nn.Parameter(zeros)))
