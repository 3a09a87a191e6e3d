"""Small helpers over `caffe.net_spec`: one call per layer.

`net` is a NetSpec; blobs are named by its keys. An in-place layer has a key of its own, its layer
name, for the blob as it is after that layer. `rates` says how fast the parameters of a layer learn:
a function from the layer's name to its `param` entries (see `trained`, `frozen`, `no_rates`).
"""
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from caffe.proto.caffe_pb2 import NetParameter

Fields = dict[str, object]                  # fields of a protobuf message
Rates = Callable[[str], list[Fields]]       # layer name -> its `param` entries


class CommentedNet(NamedTuple):
    """A net, and headings: {name of a layer: text of the comment above it}."""

    message: NetParameter
    comments: dict[str, str]


CONSTANT_0: Fields = {"type": "constant", "value": 0}


def gaussian(std: float) -> Fields:
    """Weights drawn from N(0, std), biases zero: the fillers of every published fresh layer."""
    return {"weight_filler": {"type": "gaussian", "std": std}, "bias_filler": CONSTANT_0}


def xavier() -> Fields:
    """Glorot's uniform weights, biases zero: for fresh fully connected layers."""
    return {"weight_filler": {"type": "xavier"}, "bias_filler": CONSTANT_0}


def trained(_name: str) -> list[Fields]:
    """Weights learn at the solver's rate, biases twice as fast."""
    return [{"lr_mult": 1}, {"lr_mult": 2}]


def frozen(_name: str) -> list[Fields]:
    """Neither the gradient nor the weight decay moves the layer."""
    return [{"lr_mult": 0, "decay_mult": 0}] * 2


def no_rates(_name: str) -> list[Fields]:
    """Test nets do not learn."""
    return []


def bias_undecayed(_name: str) -> list[Fields]:
    """As `trained`, without weight decay of the biases."""
    return [{"lr_mult": 1}, {"lr_mult": 2, "decay_mult": 0}]


def trained_except(names: Sequence[str], rates: Rates = trained) -> Rates:
    """Rates of a net in which the layers `names` are frozen."""
    return lambda name: frozen(name) if name in names else rates(name)


def conv(net: NetSpec, name: str, bottom: str, num_output: int, kernel: int, rates: Rates,
         pad: int = 0, stride: int = 1, group: int = 1, dilation: int = 1, bias: bool = True,
         filler: Fields | None = None, top: str | None = None) -> str:
    """A convolution; returns its top: the layer's name unless `top` is given."""
    given = {"pad": pad, "stride": stride, "group": group, "dilation": dilation, "bias_term": bias}
    usual = {"pad": 0, "stride": 1, "group": 1, "dilation": 1, "bias_term": True}
    geometry: Fields = {"num_output": num_output, "kernel_size": kernel}
    geometry.update({key: value for key, value in given.items() if value != usual[key]})
    top = top or name
    net[top] = L.Convolution(net[bottom], name=name, **_learning(rates, name, bias),
                             convolution_param={**geometry, **(filler or {})})
    return top


def relu(net: NetSpec, name: str, bottom: str) -> str:
    """ReLU in place."""
    net[name] = L.ReLU(net[bottom], name=name, in_place=True)
    return name


def conv_relu(net: NetSpec, name: str, bottom: str, num_output: int, kernel: int, rates: Rates,
              relu_name: str, **geometry: Any) -> str:
    """A convolution and its ReLU."""
    return relu(net, relu_name, conv(net, name, bottom, num_output, kernel, rates, **geometry))


def conv_relu6(net: NetSpec, name: str, bottom: str, num_output: int, kernel: int, rates: Rates,
               relu_name: str, **geometry: Any) -> str:
    """A convolution and its ReLU6, in place."""
    top = conv(net, name, bottom, num_output, kernel, rates, **geometry)
    net[relu_name] = L.ReLU6(net[top], name=relu_name, in_place=True)
    return relu_name


def max_pool(net: NetSpec, name: str, bottom: str, kernel: int, stride: int, pad: int = 0) -> str:
    """Maximum pooling; Caffe rounds the size of the top up."""
    geometry = {"pool": "MAX", "kernel_size": kernel, "stride": stride}
    if pad:
        geometry["pad"] = pad
    net[name] = L.Pooling(net[bottom], name=name, pooling_param=geometry)
    return name


def average_pool(net: NetSpec, name: str, bottom: str) -> str:
    """The average of each channel."""
    net[name] = L.Pooling(net[bottom], name=name,
                          pooling_param={"pool": "AVE", "global_pooling": True})
    return name


def frozen_norm(net: NetSpec, bottom: str, bn_name: str, scale_name: str, rates: Rates,
                in_place: bool = False) -> str:
    """Normalisation by the statistics, factors and offsets of the initial weights (BatchNorm,
    Scale), which do not learn; in_place: on the bottom itself. Returns the top."""
    def fixed(count):
        return {"param": frozen(bn_name)[:1] * count} if rates(bn_name) else {}

    net[bn_name] = L.BatchNorm(net[bottom], name=bn_name, in_place=in_place, **fixed(3),
                               batch_norm_param={"use_global_stats": True})
    net[scale_name] = L.Scale(net[bn_name], name=scale_name, in_place=True, **fixed(2),
                              scale_param={"bias_term": True})
    return scale_name


def lrn(net: NetSpec, name: str, bottom: str, **lrn_param: Any) -> str:
    """Local response normalisation."""
    net[name] = L.LRN(net[bottom], name=name, lrn_param=lrn_param)
    return name


def fc(net: NetSpec, name: str, bottom: str, num_output: int, rates: Rates,
       filler: Fields | None = None) -> str:
    """A fully connected layer."""
    net[name] = L.InnerProduct(net[bottom], name=name, **_learning(rates, name),
                               inner_product_param={"num_output": num_output, **(filler or {})})
    return name


def dropout(net: NetSpec, name: str, bottom: str, dropout_param: Fields) -> str:
    """Dropout in place."""
    net[name] = L.Dropout(net[bottom], name=name, in_place=True, dropout_param=dropout_param)
    return name


def reshape(net: NetSpec, name: str, bottom: str, dims: Sequence[int]) -> str:
    """Reshape: 0 keeps a dimension, -1 is inferred."""
    net[name] = L.Reshape(net[bottom], name=name, reshape_param={"shape": {"dim": dims}})
    return name


def silence(net: NetSpec, bottom: str) -> None:
    """Takes a blob that nothing else reads, so that it is not an output of the net."""
    net["silence_" + bottom] = L.Silence(net[bottom], name="silence_" + bottom, ntop=0)


def python(net: NetSpec, name: str, module: str, layer: str, param_str: str,
           bottoms: Sequence[str], tops: Sequence[str]) -> None:
    """A Python layer; `param_str` is YAML."""
    blobs = L.Python(*[net[bottom] for bottom in bottoms], name=name, ntop=len(tops),
                     python_param={"module": module, "layer": layer, "param_str": param_str})
    for top, blob in zip(tops, blobs if len(tops) > 1 else (blobs,)):
        net[top] = blob


def param_str(**params: Any) -> str:
    """The param_str of a Python layer: a YAML mapping, without braces when it has one entry."""
    text = ", ".join(f"'{name}': {value}" for name, value in params.items())
    return text if len(params) == 1 else f"{{{text}}}"


def _learning(rates, name, bias=True):
    params = rates(name)[:2 if bias else 1]
    return {"param": params} if params else {}
