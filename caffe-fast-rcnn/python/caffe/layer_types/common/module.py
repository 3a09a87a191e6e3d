"""The form of every built-in layer: a small nn.Module over tensors.

A layer type is a class with

* `__init__(param, shapes, phase)`: Caffe's LayerSetUp. `param` is the LayerParameter (the layer's
  own copy, with all its tops named), `shapes` the bottom shapes, `phase` the caffe.Phase;
* `forward(*bottoms)`: a tensor per top (one tensor, or a tuple), a function of the bottoms and of
  `self.blobs`, so that autograd finds the gradients and a run on the meta device finds the shapes.
  A top that depends on no bottom and no blob (an index, a mask) has no gradient. None keeps a top's
  values (only in layers without bottoms).

A layer that must not train its blobs (BatchNorm) adds `param { lr_mult: 0 }` to `self.param`.
"""
import enum
import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch
from google.protobuf.message import Message
from torch import Tensor, nn
from torch.func import functional_call

from caffe.core.errors import LayerError
from caffe.layer_types.common.fillers import fill
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import FillerParameter, LayerParameter

Shape = tuple[int, ...]
Shapes = Sequence[Shape]    # of all bottoms, or all tops
Tops: TypeAlias = Tensor | tuple[Tensor, ...]


def filler_or(options: Message, field: str, value: float) -> FillerParameter:
    """The FillerParameter in a field of the options, or the constant where the field is unset."""
    if options.HasField(field):
        return getattr(options, field)
    return caffe_pb2.FillerParameter(value=value)


class Numbers(enum.Enum):
    """The types of a layer's bottoms and tops in a net of bf16; elsewhere all are float32.

    FLOAT32    all are float32 (losses, boxes, scores: what is not named here)
    OF_NET     products of the bottoms and the weights, whose factors are of the net's precision
    OF_BOTTOM  bottoms of any type, tops of the first one's: values are chosen, moved or compared
    ROUNDED    computed in float32, tops rounded to the first bottom's type: sums, powers,
               statistics. Such a layer has one top.
    """

    FLOAT32, OF_NET, OF_BOTTOM, ROUNDED = range(4)


class Module(nn.Module):
    """Base of the built-in layers.

    Class attributes a type may set:
      bottoms, tops   (least, most) number of bottoms and tops; most None: any number
      same_count      one top per bottom
      is_loss         the first top has loss weight 1 unless the prototxt says otherwise
      auto_top        a missing top is added under an automatic name
      no_gradient     bottoms (by index, negative from the end) that cannot receive a gradient,
                      such as labels: forcing it has no effect, needing it is an error
      ignores_forbidden_gradient   needing such a gradient is no error either: it is 0
      optional_gradient   bottoms whose gradient is costly: it stays 0 where the layers that made
                      the bottom pass none on, unless the prototxt says `propagate_down`
      keeps_shape     each top has its bottom's shape, whatever that is
      in_place        has `forward_inplace` and `backward_inplace`, for a top that is its bottom
      overwrites      has `forward_inplace` alone, which is used where no gradient is wanted
      changes_blobs   the forward pass changes the learnable blobs
      numbers         the types of bottoms and tops in a net of bf16
      fresh_tops      the tops are new memory that nothing reads again to find the gradient: the
                      next layer may change them in place
    """

    type = ""
    bottoms: tuple[int, int | None] = (1, 1)
    tops: tuple[int, int | None] = (1, 1)
    same_count = False
    is_loss = False
    auto_top = False
    no_gradient: tuple[int, ...] = ()
    ignores_forbidden_gradient = False
    optional_gradient: tuple[int, ...] = ()
    keeps_shape = False
    in_place = False
    overwrites = False
    changes_blobs = False
    fresh_tops = False
    numbers = Numbers.FLOAT32

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__()
        self.name = param.name
        self.param = param
        self.phase = phase
        self.blobs = nn.ParameterList()
        self._check_count("bottom", len(shapes), self.bottoms)
        self._check_count("top", len(param.top), self.tops)
        if self.same_count and len(shapes) != len(param.top):
            raise self.error(f"expected one top per bottom, got {len(shapes)} bottoms and "
                             f"{len(param.top)} tops")

    def add_blob(self, shape: Iterable[int], filler: FillerParameter | None = None,
                 memory_format: torch.memory_format = torch.contiguous_format) -> None:
        """Appends a learnable blob (float32), filled as the FillerParameter says (None: zeros)."""
        data = torch.zeros(tuple(int(d) for d in shape))
        try:
            fill(data, filler)
        except LayerError as problem:
            raise self.error(str(problem)) from None
        if data.dim() == 4:
            data = data.contiguous(memory_format=memory_format)
        self.blobs.append(nn.Parameter(data))

    def error(self, message: str) -> LayerError:
        """A LayerError that names this layer."""
        return LayerError(f'layer "{self.name}" ({self.type}): {message}')

    def axis_of(self, shape: Shape, axis: int, field: str = "axis") -> int:
        """The axis counted from the front; negative ones count from the end (CanonicalAxisIndex).
        """
        if not -len(shape) <= axis < len(shape):
            raise self.error(f"expected {field} in [{-len(shape)}, {len(shape)}) for a bottom of "
                             f"shape {tuple(shape)}, got {axis}")
        return axis % len(shape)

    def refuse_in_place(self) -> None:
        """For the types whose top cannot be their bottom."""
        if set(self.param.bottom) & set(self.param.top):
            raise self.error("cannot work in place: give the top another name than the bottom")

    def check_range(self, index: Tensor, count: int, what: str) -> None:
        """An error unless every index lies in [0, count).

        Only on the CPU: on a GPU it would synchronise; a bad index fails there in the kernel.
        """
        if index.device.type == "cpu" and index.numel():
            low, high = int(index.min()), int(index.max())
            if low < 0 or high >= count:
                raise self.error(f"expected each {what} in 0 .. {count - 1}, got "
                                 f"{low if low < 0 else high}")

    def check_labels(self, scores: Tensor, labels: Tensor, axis: int) -> None:
        """An error unless there is one label for each place of the scores' other axes."""
        places = math.prod(size for i, size in enumerate(scores.shape) if i != axis)
        if labels.numel() != places:
            raise self.error(f"expected {places} labels for scores of shape {tuple(scores.shape)} "
                             f"with the classes along axis {axis}, got {labels.numel()} of shape "
                             f"{tuple(labels.shape)}")

    def labels_of(self, labels: Tensor, items: int, classes: int) -> Tensor:
        """The labels 0 .. classes - 1 of the items, one each, as integers (items,)."""
        if labels.numel() != items:
            raise self.error(f"expected one label for each of the {items} items, got shape "
                             f"{tuple(labels.shape)}")
        labels = labels.reshape(-1).long()
        self.check_range(labels, classes, "label")
        return labels

    def top_shapes(self, shapes: Shapes) -> Sequence[Shape | None]:
        """The top shapes for bottoms of these shapes, found by a forward pass on the meta device.

        Layers without bottoms override it; theirs is asked once, when the net is built, and None
        stands for a top of unknown shape. So do the most frequent types: the first run on that
        device costs a second of imports.
        """
        if self.keeps_shape:
            return [tuple(shape) for shape in shapes]
        tensors = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        meta = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
        dtype = self.blobs[0].dtype if len(self.blobs) else torch.float32
        try:
            bottoms = tuple(torch.empty(tuple(s), device="meta", dtype=dtype) for s in shapes)
            with torch.no_grad():
                tops = functional_call(self, meta, bottoms)
        except (RuntimeError, IndexError, ValueError, MemoryError) as problem:
            shown = ", ".join(str(tuple(s)) for s in shapes)
            sentence = (str(problem).strip() or type(problem).__name__).splitlines()[0]
            raise self.error(f"does not fit bottoms of shape {shown}: {sentence}") from problem
        return [tuple(top.shape) for top in (tops if isinstance(tops, tuple) else (tops,))]

    def initial_tops(self) -> tuple[Tensor | None, ...]:
        """What the tops hold before the first forward pass: a tensor or None for each."""
        return (None,) * len(self.param.top)

    def forward(self, *bottoms: Tensor) -> Tops:
        raise self.error("has no forward pass")

    def forward_inplace(self, x: Tensor) -> Tensor:
        """Changes `x`, the data of bottom and top, in place, without autograd."""
        raise self.error("cannot change its bottom in place")

    def backward_inplace(self, y: Tensor, grad: Tensor) -> Tensor:
        """The bottom's gradient from the changed data `y` and the top's gradient `grad`."""
        raise self.error("cannot change its bottom in place")

    def _check_count(self, word: str, count: int, limits: tuple[int, int | None]) -> None:
        least, most = limits
        if count < least or (most is not None and count > most):
            wanted = (f"{least}" if least == most else f"at least {least}" if most is None
                      else f"{least} to {most}")
            raise self.error(f"expected {wanted} {word}(s), got {count}")
