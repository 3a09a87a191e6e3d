"""Where blobs begin and end: Input, DummyData and Silence.

Caffe: input_layer.cpp, dummy_data_layer.cpp, silence_layer.cpp.
"""
from collections.abc import Sequence

import torch
from torch import Tensor

from caffe.core.errors import LayerError
from caffe.layer_types.common.fillers import fill
from caffe.layer_types.common.module import Module, Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.proto.caffe_pb2 import DummyDataParameter, FillerParameter, LayerParameter


def spread(layer: Module, values: Sequence, what: str, optional: bool = False) -> list:
    """The values one per top: given once for all tops, once each, or (optional) not at all."""
    tops = len(layer.param.top)
    if len(values) not in ((0, 1, tops) if optional else (1, tops)):
        choice = "once, once per top, or not at all" if optional else "once or once per top"
        raise layer.error(f"expected {what} {choice} ({tops} tops), got it {len(values)} times")
    return list(values) * tops if len(values) == 1 else list(values) or [None] * tops


class Source(Module):
    """Base of layers without bottoms; the buffer `where` tells their device and dtype."""

    bottoms = (0, 0)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.register_buffer("where", torch.empty(0), persistent=False)


@register("Input")
class Input(Module):
    """Tops that the user fills: net.blobs[name].data[...] = values."""

    bottoms = (0, 0)
    tops = (1, None)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.shapes = spread(self, param.input_param.shape, "shape", optional=True)

    def top_shapes(self, shapes: Shapes) -> list[Shape | None]:
        return [None if shape is None else tuple(shape.dim) for shape in self.shapes]

    def forward(self) -> tuple[None, ...]:
        return (None,) * len(self.shapes)


@register("DummyData")
class DummyData(Source):
    """Tops that a filler fills: once where it is constant, else anew in every forward pass."""

    tops = (1, None)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.dummy_data_param
        self.shapes = self._read_shapes(p)
        self.fillers = spread(self, p.data_filler, "data_filler", optional=True)
        for shape, filler in zip(self.shapes, self.fillers):
            self._filled(shape, filler)  # an impossible filler is refused now

    def _read_shapes(self, p: DummyDataParameter) -> list[Shape]:
        legacy = (p.num, p.channels, p.height, p.width)
        if not any(legacy):
            return [tuple(shape.dim) for shape in spread(self, p.shape, "shape")]
        if p.shape:
            raise self.error("expected shape, or num, channels, height and width, got both")
        names = ("num", "channels", "height", "width")
        return list(zip(*(spread(self, list(v), n) for v, n in zip(legacy, names))))

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        return self.shapes

    def initial_tops(self) -> tuple[Tensor | None, ...]:
        return tuple(None if self._is_random(filler) else self._filled(shape, filler)
                     for shape, filler in zip(self.shapes, self.fillers))

    def forward(self) -> tuple[Tensor | None, ...]:
        return tuple(self._filled(shape, filler) if self._is_random(filler) else None
                     for shape, filler in zip(self.shapes, self.fillers))

    @staticmethod
    def _is_random(filler: FillerParameter | None) -> bool:
        return filler is not None and filler.type != "constant"

    def _filled(self, shape: Shape, filler: FillerParameter | None) -> Tensor:
        data = self.where.new_zeros(shape)
        try:
            fill(data, filler)
        except LayerError as problem:
            raise self.error(str(problem)) from None
        return data


@register("Silence")
class Silence(Module):
    """Takes any blobs and gives none, so that they do not count as outputs. Their gradient is 0."""

    bottoms = (1, None)
    tops = (0, 0)

    def forward(self, *bottoms: Tensor) -> tuple[()]:
        return ()
