"""The values behind a blob: a tensor on the net's device, and numpy's view of it.

The tensor is float32 for all who ask; in a net of bf16 a layer may leave bfloat16, which the next
one that can takes `as_is`.

Caffe calls this SyncedMemory. On the CPU the numpy array is the tensor's own memory. On a GPU it is
a copy in main memory. As in pycaffe, whoever asks for the array may write to it, so the next layer
that reads the tensor uploads the copy.
"""
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe.core.main_memory import copy_mapped
from caffe.core.types import Shape

_STALE, _SYNCED, _NEWER = range(3)      # the copy in main memory, compared with the tensor


def needs_copy(device: torch.device) -> bool:
    """Whether numpy cannot look into the device's memory."""
    return device.type != "cpu"


class Memory:
    """One tensor of a blob; unset values are all `fill` and take no memory.

    owned: whether nothing else uses the tensor's memory.
    fresh: whether the next layer may change the tensor in place, because nothing else reads it.
    is_dead_end: whether no learnable blob needs a gradient of the tensor.
    is_copied: whether numpy's array is a copy, because the device is not the CPU.
    changes: another number once the values may have been changed, but by a lent tensor (`stamp`).
    keeps_layout: whether the tensor keeps its address and memory layout
    (parameters); else reading the array makes it contiguous, in Caffe's order.
    """

    __slots__ = ("device", "fill", "fresh", "is_dead_end", "keeps_layout", "_tensor", "_shape",
                 "owned", "_array", "_arrays_tensor", "is_copied", "_host", "_host_state",
                 "changes", "_lent", "_deferred", "_watchers", "__weakref__")

    def __init__(self, shape: Sequence[int], device: torch.device, tensor: Tensor | None = None,
                 keeps_layout: bool = False) -> None:
        self.device = device
        self.fill = 0.0
        self.fresh = False
        self.is_dead_end = False
        self.keeps_layout = keeps_layout
        self._tensor = tensor
        self._shape = tuple(shape)
        self.owned = True
        # a weak reference to the array that the user was given, and a tensor over its memory
        self._array: weakref.ref[np.ndarray] | None = None
        self._arrays_tensor: Any = None
        self.is_copied = needs_copy(device)
        self._host: Any = None          # the copy in main memory
        self._host_state = _STALE
        self.changes = 0
        self._lent: tuple[Tensor, ...] = ()     # tensors of the values that others may write to
        self._deferred: Callable[[], None] | None = None    # sets the values when they are read
        self._watchers: list[weakref.WeakMethod] = []       # who must see the values as they are

    @property
    def shape(self) -> Shape:
        return self._shape if self._tensor is None else tuple(self._tensor.shape)

    @property
    def is_unset(self) -> bool:
        """Whether no values were set, so that all are `fill`."""
        return self._tensor is None and self._host_state != _NEWER and not self._deferred

    def get(self) -> Tensor:
        """The float32 tensor on the device, with all that was written by numpy."""
        tensor = self.as_is()
        if tensor.dtype == torch.bfloat16:
            tensor = self._tensor = tensor.float()
            self.owned = True
        return tensor

    def as_is(self) -> Tensor:
        """As `get`; but bfloat16 where a layer left its result so and nobody has asked for
        float32 since."""
        if self._host_state == _NEWER:
            self._upload()
        if self._tensor is None and self._deferred is not None:
            self._deferred()
        if self._tensor is None:
            self._tensor = torch.full(self._shape, self.fill, device=self.device)
            self.owned = True
        return self._tensor

    def set(self, tensor: Tensor | None, owned: bool = True) -> None:
        """Replaces the tensor; owned: whether nothing else uses its memory."""
        self.announce_change()
        self._tensor = tensor
        self.owned = owned
        self.fresh = self.is_dead_end = False
        self._host_state = _STALE
        self.changes += 1
        self._lent, self._deferred = (), None

    def watch(self, method: Callable[[], None]) -> None:
        """Calls a method once, before the values next may change, if its object still lives."""
        reference = weakref.WeakMethod(method)
        if reference not in self._watchers:
            self._watchers.append(reference)

    def announce_change(self) -> None:
        """Says that the values may change from now on."""
        if self._watchers:
            watchers, self._watchers = self._watchers, []
            for reference in watchers:
                method = reference()
                if method is not None:
                    method()

    def touch(self) -> None:
        """Says that the tensor has been changed in place (see `announce_change`)."""
        self._host_state = _STALE
        self.changes += 1

    def lend(self, tensor: Tensor) -> None:
        """Says that somebody has a tensor of these values, and may write to it later on."""
        self.announce_change()
        self.touch()
        if not any(tensor is known for known in self._lent):
            self._lent = (*self._lent, tensor)

    def stamp(self) -> tuple[int, ...]:
        """Numbers that are others once the values may have been changed.

        They show what is written to a lent tensor if PyTorch counts it (not through its `.data`).
        They do not show what is written to an array while it `is_held`.
        """
        return (self.changes, *(0 if tensor.is_inference() else tensor._version
                                 for tensor in self._lent))

    @property
    def is_held(self) -> bool:
        """Whether the user still has the array, and may write to it unseen."""
        return self._array is not None and self._array() is not None

    @property
    def is_lent(self) -> bool:
        """Whether somebody was given a tensor of the values."""
        return bool(self._lent)

    def keep(self) -> Tensor:
        """The tensor as it is now, of its own type: a copy unless nobody else can write to it."""
        tensor = self.as_is()
        if self._lent or not (self.owned and self.fresh) or self.is_held:
            return tensor.clone()
        self.owned = self.fresh = False        # whoever asks for the array gets a copy
        return tensor

    def defer(self, shape: Shape, compute: Callable[[], None]) -> None:
        """New values of this shape that nobody has computed yet: `compute` is to `set` them, and is
        called when they are read."""
        self.set(None)
        self._shape, self._deferred = shape, compute

    def fulfil(self, tensor: Tensor) -> None:
        """Sets values that were deferred; in a shape given since, the first ones (see `fit`)."""
        shape = self._shape
        self.set(tensor if tensor.shape == shape else
                 tensor.contiguous().view(-1)[:torch.Size(shape).numel()].view(shape))

    @property
    def is_deferred(self) -> bool:
        """Whether the values are still to be computed."""
        return self._deferred is not None

    def unset(self, shape: Shape | None = None) -> None:
        """Sets all values to `fill` (in a new shape), also in the array that the user still has."""
        self.announce_change()
        if shape is not None and shape != self.shape:
            self._shape, self._tensor, self._host_state = shape, None, _STALE
        view = self._living_view()
        if view is not None:
            self.set(view.fill_(self.fill))
        else:
            self._shape, self._tensor, self._host_state = self.shape, None, _STALE
        self._deferred = None
        self.changes += 1

    def copy_(self, tensor: Tensor) -> None:
        """Overwrites the values where they are."""
        self.announce_change()
        self.get().data.copy_(tensor)
        self.touch()

    def load(self, array: np.ndarray) -> None:
        """Overwrites the values where they are with those of an array, read-only or not aligned."""
        if self.is_copied:
            self.copy_(torch.from_numpy(np.array(array, dtype=np.float32)))
        else:
            copy_mapped(self.array(), array)

    def add(self, tensor: Tensor) -> None:
        """Adds a tensor; the first one is taken as it is."""
        if self.is_unset and self.fill == 0:
            self.set(tensor, owned=False)
        elif self.owned:
            self.announce_change()
            self.get().add_(tensor)
            self.touch()
        else:
            self.set(self.get() + tensor)

    def fit(self, shape: Shape) -> None:
        """Changes the shape; a memory that does not grow keeps its first values (Blob::Reshape)."""
        if shape == self.shape:
            return
        self.announce_change()
        count = torch.Size(shape).numel()
        keeps = count <= torch.Size(self.shape).numel()
        if self._deferred is None or not keeps:
            old = self.get() if keeps and not self.is_unset else None
            self._tensor = None if old is None else old.contiguous().view(-1)[:count].view(shape)
            self._deferred = None
        self._shape = tuple(shape)
        self._array = self._arrays_tensor = self._host = None
        self.touch()

    def settle(self) -> None:
        """Moves new values to the memory that numpy was given, if the user still has it.
        Called when all layers have run, not between them: the older values that a layer keeps for
        its gradient must not change.
        """
        view = self._living_view()
        if view is not None and not self.is_unset:
            tensor = self.get()
            if view.data_ptr() != tensor.data_ptr():
                view.copy_(tensor)
                self.set(view)
        elif view is None:
            self._array = self._arrays_tensor = None

    @property
    def is_viewed(self) -> bool:
        """Whether numpy was given the memory, so that `settle` has something to look at."""
        return self._array is not None

    def array(self) -> np.ndarray:
        """numpy's float32 array of the values; writing to it changes them."""
        if self.is_copied:
            return self._host_array()
        self.announce_change()
        self.settle()
        self.changes += 1
        array = self._array() if self._array is not None else None
        if array is None:
            self._tensor = self._exclusive(self.get())
            self.owned = True
            # .data has a version counter of its own, so autograd does not see the user's writes
            self._arrays_tensor = self._tensor.data
            array = self._arrays_tensor.numpy()
            self._array = weakref.ref(array)
        return array

    def _living_view(self) -> Tensor | None:
        """A tensor over the memory of the array that the user still has, if it fits."""
        if self._array is None or self._array() is None or self._arrays_tensor.shape != self.shape:
            return None
        return self._arrays_tensor

    def _exclusive(self, tensor: Tensor) -> Tensor:
        """The tensor, or a copy: in Caffe's order, alone in its memory, for all to write to."""
        if tensor.is_inference():       # only code within torch.inference_mode may write to it
            with torch.inference_mode(False):
                return torch.empty(tensor.shape, device=tensor.device).copy_(tensor)
        if self.keeps_layout:
            return tensor if self.owned else tensor.clone()
        if not self.owned or tensor.untyped_storage().nbytes() > tensor.nbytes:
            return tensor.clone(memory_format=torch.contiguous_format)
        return tensor.contiguous()

    def _host_array(self) -> np.ndarray:
        if self._host_state == _STALE:
            tensor = self.get()
            if self._host is None or self._host.shape != tensor.shape:
                self._host = torch.empty(tensor.shape)
            self._host.copy_(tensor)
        self._host_state = _NEWER
        return self._host.numpy()

    def _upload(self) -> None:
        self._host_state = _SYNCED
        if self.keeps_layout and self._tensor is not None and self.owned:
            self._tensor.data.copy_(self._host)
        else:
            self._tensor = self._host.to(self.device, copy=True)
            self.owned = True
