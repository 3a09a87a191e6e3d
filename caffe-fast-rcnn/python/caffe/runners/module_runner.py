"""Runners of built-in layers: they join the modules of caffe.layer_types with blobs."""
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from caffe.core.blob import Blob, BlobVec, ParamBlob
from caffe.core.errors import LayerError
from caffe.core.types import Shape
from caffe.layer_types.common.module import Numbers
from caffe.layer_types.common.registry import lookup
from caffe.proto.caffe_pb2 import LayerParameter
from caffe.runners.runner import GraphRunner, LayerRunner

_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError, MemoryError)


class ModuleRunner(GraphRunner):
    """Runs a caffe.layer_types.common.module.Module.

    factors: the type of its products' factors, where it is one that multiplies (Numbers.OF_NET).
    """

    factors = torch.float32

    def __init__(self, param: LayerParameter, bottoms: list[Blob], tops: list[Blob],
                 device: torch.device) -> None:
        super().__init__(param, bottoms, tops)
        shapes = [blob.shape for blob in bottoms]
        try:
            self.module = lookup(param.type, param.name)(param, shapes, self.phase)
        except (RuntimeError, MemoryError) as problem:      # its blobs are too large
            raise self._explained(problem) from problem
        self.module.to(device)
        self.blobs = BlobVec((ParamBlob(p) for p in self.module.blobs), device)
        self._forbidden = {i for i in range(len(bottoms)) if i in self.module.no_gradient
                           or i - len(bottoms) in self.module.no_gradient}
        self._optional = () if param.propagate_down else self.module.optional_gradient
        self._uploads = any(blob.values.is_copied for blob in self.blobs)
        stay = getattr(self.module, "use_global", False)    # the statistics of a BatchNorm
        self._changing = [blob for blob in self.blobs if self.module.changes_blobs
                          or not (blob.parameter.requires_grad or stay)]
        works_in_place = self.module.in_place or self.module.overwrites
        self._may_change_bottom = bool(works_in_place and bottoms and bottoms[0] is tops[0])
        self._changed = None        # the data after a pass in place
        self._shape_tops(self.module.top_shapes(shapes))
        for blob, tensor in zip(tops, self.module.initial_tops()):
            if tensor is not None:
                blob.tensor = tensor

    def _shape_tops(self, shapes: Iterable[Shape | None]) -> None:
        for blob, shape in zip(self.tops, shapes):
            if shape is not None and tuple(shape) != blob.shape:
                blob.reshape(*shape)

    def use_blob(self, index: int, blob: Any) -> None:
        own = self.blobs[index]
        self._changing = [blob if known is own else known for known in self._changing]
        super().use_blob(index, blob)
        self.module.blobs[index] = blob.parameter

    def reshape(self) -> None:
        if self.bottoms:
            self._shape_tops(self.module.top_shapes([blob.shape for blob in self.bottoms]))

    def allows_gradient(self, index: int) -> bool:
        return index not in self._forbidden

    def default_loss_weights(self) -> list[float]:
        return [float(self.module.is_loss and i == 0) for i in range(len(self.tops))]

    def wanted(self, index: int) -> bool:
        if index in self._optional and self.bottoms[index].values.is_dead_end:
            return False
        return self.propagate_down[index] and index not in self._forbidden

    def read_bottoms(self) -> list[Tensor]:
        if self.module.numbers is Numbers.FLOAT32 or self._multiplies_float32():
            return super().read_bottoms()
        tensors = [blob.values.as_is() for blob in self.bottoms]
        if self.module.numbers is Numbers.OF_NET:
            return [tensor.to(self.factors) for tensor in tensors]
        return tensors

    def _multiplies_float32(self) -> bool:
        return self.module.numbers is Numbers.OF_NET and self.factors == torch.float32

    def compute(self, *tensors: Tensor) -> Tensor | tuple[Tensor | None, ...]:
        if self._uploads:
            for blob in self.blobs:
                blob.values.get()
        for blob in self._changing:
            blob.values.announce_change()
        try:
            outputs = self._outputs(*tensors)
        except _FAILURES as problem:
            raise self._explained(problem) from problem
        for blob in self._changing:         # the module may have changed them
            blob.values.touch()
        return outputs

    def _outputs(self, *tensors: Tensor) -> Tensor | tuple[Tensor | None, ...]:
        if self.module.numbers is not Numbers.ROUNDED or tensors[0].dtype == torch.float32:
            return self.module.forward(*tensors)
        top: Tensor = self.module.forward(*(tensor.float() for tensor in tensors))
        return top.to(tensors[0].dtype)

    def _backward_through_graph(self) -> None:
        try:
            super().backward()
        except _FAILURES as problem:
            raise self._explained(problem) from problem

    def _explained(self, problem: BaseException) -> LayerError:
        shapes = ", ".join(str(blob.shape) for blob in self.bottoms) or "no"
        sentence = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        return self.error(f"failed with bottoms of shape {shapes}: {sentence}")

    def store(self, outputs: Iterable[Tensor | None]) -> None:
        fresh = self.module.fresh_tops
        for blob, tensor in zip(self.tops, outputs):
            if tensor is not None:
                blob.values.set(tensor)
                blob.values.fresh = fresh

    def forward(self, record: bool) -> None:
        self._changed = None
        if not self._can_change_bottom():
            super().forward(record)
            return
        self._graph = self._unrecorded = None
        values = self.bottoms[0].values
        changed = self.module.forward_inplace(*self.read_bottoms())
        values.set(changed)
        if self.need_backward:
            self._changed = changed
        else:
            values.fresh = True

    def forget(self) -> None:
        super().forget()
        self._changed = None

    def _can_change_bottom(self) -> bool:
        if not self._may_change_bottom or not self.bottoms[0].values.fresh:
            return False
        bottom = self.bottoms[0].values.as_is()
        if bottom.is_inference() and not torch.is_inference_mode_enabled():
            return False    # PyTorch allows no changes in place behind that block
        if self.module.numbers is Numbers.ROUNDED and bottom.dtype != torch.float32:
            return False
        return self.module.in_place or not self.need_backward

    def backward(self) -> None:
        for i in self._forbidden:
            if self.propagate_down[i] and not self.module.ignores_forbidden_gradient:
                raise self.error(f"cannot pass a gradient to bottom {i} "
                                 f'("{self.bottom_names[i]}"): give this layer propagate_down: '
                                 "false for it")
        if self._changed is None:
            self._backward_through_graph()
        elif self.propagate_down[0]:
            diff = self.tops[0].top_diff()
            if diff is not None:
                self.bottoms[0].set_diff(self.module.backward_inplace(
                    self._changed, diff.to(self._changed.dtype)))


class SplitRunner(LayerRunner):
    """One blob under several names: the tops share the bottom's memory, the gradients add up."""

    def __init__(self, param: LayerParameter, bottoms: list[Blob], tops: list[Blob]) -> None:
        super().__init__(param, bottoms, tops)
        for top in tops:
            top.values = bottoms[0].values

    def forward(self, record: bool) -> None:
        """Nothing: the tops are the bottom."""

    def backward(self) -> None:
        if not self.propagate_down[0]:
            return
        diffs = [diff for diff in (top.top_diff() for top in self.tops) if diff is not None]
        if len(diffs) > 1:      # sums are float32
            diffs = [diff.float() for diff in diffs]
        self.bottoms[0].set_diff(diffs[0] if len(diffs) == 1 else
                                 torch.stack(diffs).sum(0) if len(diffs) > 2 else
                                 diffs[0] + diffs[1] if diffs else None)
