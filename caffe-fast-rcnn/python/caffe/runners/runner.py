"""The base classes of runners: a layer in a net, its blobs and its gradients."""
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from caffe.core.blob import Blob
from caffe.core.errors import LayerError
from caffe.proto.caffe_pb2 import LayerParameter


class LayerRunner:
    """What the net knows of a layer, whatever kind it is.

    The kinds are in module_runner.py (built-in types) and python_runner.py (the user's classes);
    they say how tops are shaped, computed and differentiated.

    Attributes:
      name, type, phase        of the layer; type as in the prototxt
      param                    LayerParameter, this layer's own copy
      bottoms, tops            lists of Blob; bottom_names, top_names
      blobs                    BlobVec of the learnable blobs (pycaffe: layer.blobs)
      need_backward            whether backward passes through the layer at all
      propagate_down           per bottom: whether its gradient is wanted
      param_propagate_down     per learnable blob: whether its gradient is wanted
      loss_weights             per top
      public                   what net.layers shows
    """

    def __init__(self, param: LayerParameter, bottoms: list[Blob], tops: list[Blob]) -> None:
        self.name, self.type, self.phase = param.name, param.type, param.phase
        self.param = param
        self.bottoms, self.tops = bottoms, tops
        self.bottom_names, self.top_names = list(param.bottom), list(param.top)
        self.blobs: list[Any] = []
        self.need_backward = False
        self.propagate_down = [False] * len(bottoms)
        self.param_propagate_down: list[bool] = []
        self.loss_weights = [0.0] * len(tops)
        self.losses: list[Blob] = []        # tops that count in the objective
        # blobs that show what this layer does to its bottom in place
        self.same_memory: list[Blob] = []

    @property
    def public(self) -> Any:
        return self

    def error(self, message: str) -> LayerError:
        """A LayerError that names this layer."""
        return LayerError(f'layer "{self.name}" ({self.type}): {message}')

    def allows_gradient(self, index: int) -> bool:
        """Whether `force_backward` may ask for the gradient of a bottom (AllowForceBackward)."""
        return True

    def default_loss_weights(self) -> list[float]:
        """The loss weight of each top where the prototxt gives none."""
        return [0.0] * len(self.tops)

    def set_loss_weights(self) -> None:
        """Sets the loss weights, which become the gradients of the tops.

        Caffe: Layer::SetLossWeights.
        """
        given = list(self.param.loss_weight)
        if given and len(given) != len(self.tops):
            raise self.error(f"expected loss_weight once per top ({len(self.tops)}) or not at all, "
                             f"got it {len(given)} times")
        self.loss_weights = given or self.default_loss_weights()
        for top, weight in zip(self.tops, self.loss_weights):
            if weight:
                top.gradient.fill = weight
                top.gradient.unset(top.shape)
                self.losses.append(top)

    def use_blob(self, index: int, blob: Any) -> None:
        """Replaces a learnable blob by another layer's."""
        self.blobs[index] = blob

    def loss(self) -> Tensor | float:
        """The weighted sum of the tops that count in the objective, a scalar on the device."""
        total = 0.0
        for top in self.losses:
            value, weight = top.values.get(), top.gradient
            if weight.is_unset:
                total = total + weight.fill * (value if value.dim() == 0 else value.sum())
            else:
                total = total + (value * weight.get().view(value.shape)).sum()
        return total

    def reshape(self) -> None:
        """Shapes the tops after the bottoms."""

    def forward(self, record: bool) -> None:
        """Computes the tops; record: keep what `backward` needs."""
        raise self.error("has no forward pass")

    def backward(self) -> None:
        """Computes the wanted gradients of bottoms (replaced) and learnable blobs (added to)."""
        raise self.error("has no backward pass")

    def spread_in_place(self) -> None:
        """Copies the changed bottom to the blobs that share its memory in Caffe (see same_memory).
        """
        for blob in self.same_memory:
            blob.values.set(self.tops[0].values.get().reshape(blob.shape))


class GraphRunner(LayerRunner):
    """A layer that computes with tensors, and whose gradients autograd finds.

    Every pass is a small graph of its own, with the bottoms as its leaves; it does not extend into
    the layers before or after.
    """

    def __init__(self, param: LayerParameter, bottoms: list[Blob], tops: list[Blob]) -> None:
        super().__init__(param, bottoms, tops)
        # (leaves, outputs) of the last recorded pass
        self._graph: Any = None
        # or, where the last pass was not recorded, what the bottoms held
        self._unrecorded: list[Tensor] | None = None

    def compute(self, *tensors: Tensor) -> Tensor | tuple[Tensor | None, ...]:
        """Tensors of the tops from those of the bottoms; None for a top that keeps its values."""
        raise self.error("has no forward pass")

    def read_bottoms(self) -> list[Tensor]:
        """The tensors that `compute` gets, of the types that it takes."""
        return [blob.values.get() for blob in self.bottoms]

    def wanted(self, index: int) -> bool:
        """Whether autograd is asked for the gradient of a bottom."""
        return self.propagate_down[index]

    def forward(self, record: bool) -> None:
        tensors = self.read_bottoms()
        self._graph = self._unrecorded = None   # frees memory before this pass takes some
        if record and self.need_backward:
            passes_on = self._passes_gradients_on()
            self.store(self._recorded(tensors))
            for blob, out in zip(self.tops, self._graph[1]):
                blob.values.is_dead_end = out is not None and not (passes_on and out.requires_grad)
        else:
            outputs = self.compute(*tensors)
            self._unrecorded = tensors if self.need_backward else None
            self.store(outputs if isinstance(outputs, tuple) else (outputs,))

    def forget(self) -> None:
        """Drops what the last pass left for `backward`, which then repeats the pass."""
        self._graph = self._unrecorded = None

    def _recorded(self, tensors: list[Tensor]) -> tuple[Tensor | None, ...]:
        leaves = [tensor.detach().requires_grad_() if self.wanted(i) else tensor
                  for i, tensor in enumerate(tensors)]
        with torch.enable_grad():
            outputs = self.compute(*leaves)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        self._graph = leaves, outputs
        return tuple(None if out is None else out.detach() for out in outputs)

    def _passes_gradients_on(self) -> bool:
        """Whether a gradient of the tops may reach a learnable blob."""
        return any(self.param_propagate_down) or any(
            self.wanted(i) and not blob.values.is_dead_end for i, blob in enumerate(self.bottoms))

    def store(self, outputs: Iterable[Tensor | None]) -> None:
        """Puts the results into the tops."""
        for blob, tensor in zip(self.tops, outputs):
            if tensor is not None:
                blob.values.set(tensor)

    def backward(self) -> None:
        if self._graph is None:     # repeat the last pass; layers with random numbers draw anew
            self._recorded(self._unrecorded or self.read_bottoms())
        leaves, outputs = self._graph
        tops = [(out, blob.top_diff()) for out, blob in zip(outputs, self.tops)]
        reached = [(out, diff) for out, diff in tops
                   if out is not None and out.requires_grad and diff is not None]
        bottoms = [i for i in range(len(leaves)) if self.propagate_down[i]]
        asked = [i for i in bottoms if leaves[i].requires_grad]
        params = [blob for blob, wanted in zip(self.blobs, self.param_propagate_down)
                  if wanted and blob.parameter.requires_grad]
        inputs = [leaves[i] for i in asked] + [blob.parameter for blob in params]
        gradients: Any = [None] * len(inputs)
        if reached and inputs:
            outs, diffs = zip(*((out, diff.to(out.dtype)) for out, diff in reached))
            gradients = torch.autograd.grad(outs, inputs, diffs, retain_graph=True,
                                            allow_unused=True)
        found = dict(zip(asked, gradients))
        for i in bottoms:
            self.bottoms[i].set_diff(found.get(i))
        for blob, gradient in zip(params, gradients[len(asked):]):
            if gradient is not None:
                blob.accumulate(gradient)
