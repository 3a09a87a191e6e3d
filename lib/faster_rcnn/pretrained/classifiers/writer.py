"""A Caffe net that is written layer by layer together with its weights."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf import json_format

from caffe.proto.caffe_pb2 import LayerParameter, NetParameter
from faster_rcnn.pretrained.reading.imported import Imported, Layer, Tensors

SIDE = 224      # of the pictures that torchvision's classifiers are trained with


class Writer:
    """The net so far: message, layers (the arrays); tensors: of the checkpoint.

    Methods add a layer called as its top, and return the name.
    """

    def __init__(self, name: str, tensors: Tensors, eps: float = 1e-5) -> None:
        self.tensors, self.eps = tensors, eps
        self.message = NetParameter(name=name)
        self.layers: list[Layer] = []
        self._channels = {"data": 3}
        data = self.message.layer.add(name="data", type="Input", top=["data"])
        data.input_param.shape.add(dim=[1, 3, SIDE, SIDE])

    def conv(self, name: str, bottom: str, stem: str, norm: str | None = None,
             act: str | None = "ReLU", stride: int = 1, pad: int = 0,
             norm_names: tuple[str, str] | None = None) -> str:
        """A convolution of the tensors `stem`; norm: those of a BatchNorm behind it, with which it
        may lack a bias; act: the type of an activation. The number of groups follows the shape.

        norm_names: of the layers BatchNorm and Scale [name/bn, name/scale]
        """
        weight = self.tensors.take(f"{stem}.weight")
        arrays = [weight]
        if norm is None or f"{stem}.bias" in self.tensors:
            arrays.append(self.tensors.take(f"{stem}.bias"))
        group = self._channels[bottom] // weight.shape[1]
        self._add(name, "Convolution", [bottom], arrays, convolution_param={
            "num_output": len(weight), "kernel_size": [weight.shape[2]], "stride": [stride],
            "pad": [pad], "group": group, "bias_term": len(arrays) > 1})
        self._channels[name] = len(weight)
        if norm is not None:
            statistics, scale = self.tensors.batch_norm(norm)
            bn_name, scale_name = norm_names or (f"{name}/bn", f"{name}/scale")
            self._add(bn_name, "BatchNorm", [name], statistics, name,
                      batch_norm_param={"use_global_stats": True, "eps": self.eps})
            self._add(scale_name, "Scale", [name], scale, name,
                      scale_param={"bias_term": True})
        if act is not None:
            self._add(f"{name}/{act.lower()}", act, [name], top=name)
        return name

    def fc(self, name: str, bottom: str, stem: str, act: str | None = None) -> str:
        """An InnerProduct."""
        arrays = self.tensors.pair(stem)
        self._add(name, "InnerProduct", [bottom], arrays,
                  inner_product_param={"num_output": len(arrays[0])})
        if act is not None:
            self._add(f"{name}/{act.lower()}", act, [name], top=name)
        return name

    def max_pool(self, name: str, bottom: str, kernel: int, stride: int, pad: int = 0,
                 up: bool = False) -> str:
        """Maxima; the number of windows is rounded down, or up."""
        rounding = {} if up else {"round_mode": "FLOOR"}
        self._add(name, "Pooling", [bottom], pooling_param={
            "pool": "MAX", "kernel_size": kernel, "stride": stride, "pad": pad, **rounding})
        self._channels[name] = self._channels[bottom]
        return name

    def mean(self, name: str, bottom: str) -> str:
        """The mean of each channel."""
        self._add(name, "Pooling", [bottom],
                  pooling_param={"pool": "AVE", "global_pooling": True})
        self._channels[name] = self._channels[bottom]
        return name

    def add(self, name: str, bottoms: Sequence[str], act: str | None = None) -> str:
        """A sum."""
        self._add(name, "Eltwise", bottoms)
        self._channels[name] = self._channels[bottoms[0]]
        if act is not None:
            self._add(f"{name}/{act.lower()}", act, [name], top=name)
        return name

    def concat(self, name: str, bottoms: Sequence[str]) -> str:
        """Channels behind each other."""
        self._add(name, "Concat", bottoms)
        self._channels[name] = sum(self._channels[bottom] for bottom in bottoms)
        return name

    def imported(self, first: str, notes: Sequence[str] = (), family: str = "") -> Imported:
        """The whole; first: the name of the first convolution; family: see geometry.py."""
        return Imported(str(self.message.name), self.layers, first, family,
                        notes=list(notes), message=self.message)

    def channels(self, blob: str) -> int:
        return self._channels[blob]

    def _add(self, name: str, kind: str, bottoms: Sequence[str],
             arrays: Sequence[np.ndarray] = (), top: str | None = None, **params: Any) -> None:
        layer = LayerParameter(name=name, type=kind, bottom=list(bottoms), top=[top or name])
        json_format.ParseDict(params, layer)
        self.message.layer.append(layer)
        if len(arrays):
            self.layers.append((name, kind, list(arrays)))
