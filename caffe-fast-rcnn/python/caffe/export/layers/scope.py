"""The context of a layer's exporter: the layer, and methods that add ONNX nodes."""
from collections.abc import Sequence
from typing import Any

from caffe.core.errors import LayerError
from caffe.export.layers.graph import Form, Graph
from caffe.runners.runner import LayerRunner


class Scope(Graph):
    """One layer on its way into an ONNX graph.

    Attributes, besides those of Graph:
      layer, module            the LayerRunner and its Module
      bottom_shapes, top_shapes
    With form.free_sizes the shapes are examples: only the number of axes and of channels holds.
    """

    def __init__(self, layer: LayerRunner, form: Form, prefix: str) -> None:
        super().__init__(prefix, form)
        self.layer = layer
        self.module: Any = getattr(layer, "module", None)
        self.bottom_shapes = [blob.shape for blob in layer.bottoms]
        self.top_shapes = [blob.shape for blob in layer.tops]

    @property
    def is_free(self) -> bool:
        return self.form.free_sizes

    def blob(self, index: int, name: str, shape: Sequence[int] | None = None) -> str:
        """A learnable blob as an initializer, under another shape if given."""
        array = self.layer.blobs[index].tensor.detach().cpu().numpy()
        return self.constant(array if shape is None else array.reshape(shape), name)

    def error(self, what: str) -> LayerError:
        """A LayerError that says that there is no ONNX form for this."""
        return self.layer.error(f"{what} has no ONNX form")

    def fixed(self, what: str) -> None:
        """Raises LayerError where sizes are free: `what` has a form for fixed sizes only."""
        if self.is_free:
            raise self.layer.error(f"{what} has an ONNX form for inputs of fixed size only "
                                   "(--shape)")
