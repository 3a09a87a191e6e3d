"""The convolutions and products of a net in bare PyTorch: what a net's time is measured against.

A `BareNet` holds, for every Convolution, Deconvolution and InnerProduct layer of a `caffe.Net` that
has run once, the same operator on an input of the same shape, channels_last, with its own weights,
on the net's device.
Everything else (ReLU, pooling, LRN, RoI pooling, losses, Python layers, updates) is left out.
"""
import torch
from torch.nn import functional

TIMED_TYPES = ("Convolution", "Deconvolution", "InnerProduct")


class BareOperator:
    """One operator: `forward()`, and `backward()` for the gradients that training needs."""

    def __init__(self, message, shape, weights, learns, passes_gradient, numbers):
        self.name, self.type = message.name, message.type
        self.call = _operator(message, shape)
        self.input = torch.randn(shape, dtype=numbers, device=weights[0].device)
        if len(shape) == 4:
            self.input = self.input.contiguous(memory_format=torch.channels_last)
        if message.type == "InnerProduct":
            self.input = self.input.flatten(message.inner_product_param.axis).contiguous()
        self.weights = [_plain(weight.to(numbers)) for weight in weights]
        self.wanted = [self.input.requires_grad_()] if passes_gradient else []
        self.wanted += [w.requires_grad_() for w, learn in zip(self.weights, learns) if learn]
        with torch.no_grad():
            self.top_diff = torch.randn_like(self.call(self.input, *self.weights))

    def forward(self):
        """The top; with a graph behind it when gradients are wanted."""
        return self.call(self.input, *self.weights)

    def backward(self, top):
        """The gradients of input and weights, as far as training needs them."""
        if self.wanted:
            torch.autograd.grad(top, self.wanted, self.top_diff)


class BareNet:
    """All operators of a net, in order.

    Args:
        net: caffe.Net after a forward pass (shapes are taken from its blobs).
        message: the NetParameter that it was made from.
        train: whether `run` also goes backwards.
        numbers: the type of the inputs, the weights and the gradients.
    """

    def __init__(self, net, message, train, numbers=torch.float32):
        layers = {layer.name: layer for layer in message.layer}
        flows = gradient_flow(net, layers) if train else {}
        self.train, self.operators = train, []
        for name in net._layer_names:
            layer = layers.get(name)
            if layer is None or layer.type not in TIMED_TYPES:
                continue
            learns, passes = flows.get(name, ((), False))
            blobs = net.params[name]
            shape = tuple(net.blobs[net.bottom_names[name][0]].shape)
            self.operators.append(BareOperator(layer, shape, [blob.tensor for blob in blobs],
                                               learns or (False,) * len(blobs), passes, numbers))

    def run(self):
        """One pass: all operators forward, then (in training) all backward in reverse order."""
        with torch.set_grad_enabled(self.train):
            tops = [operator.forward() for operator in self.operators]
            if self.train:
                for operator in reversed(self.operators):
                    operator.backward(tops.pop())


def gradient_flow(net, layers):
    """{layer name: (learns per parameter, gradient goes on to the bottom)} of a training net.

    A layer takes part when a loss hangs on it; it passes a gradient on when something below it
    learns. Caffe: Net::Init, blob_need_backward and layer_contributes_loss.
    """
    names = [name for name in net._layer_names if name in layers]
    under_loss = set()
    for name in reversed(net._layer_names):
        layer = layers.get(name)
        if layer is not None and layer.type.endswith("Loss"):
            under_loss.add(net.bottom_names[name][0])
        elif (layer is None or layer.type != "Python") and (
                under_loss & set(net.top_names[name])):
            under_loss.update(net.bottom_names[name][:1] if layer is not None
                              and layer.type == "ROIPooling" else net.bottom_names[name])
    learning_blobs, flows = set(), {}
    for name in net._layer_names:
        layer = layers.get(name)
        below = any(blob in learning_blobs for blob in net.bottom_names[name])
        learns = ()
        if layer is not None and name in net.params:
            rates = [param.lr_mult for param in layer.param]
            rates += [1.0] * (len(net.params[name]) - len(rates))
            learns = tuple(rate != 0 for rate in rates)
        if any(learns) or (below and (layer is None or layer.type != "Python")):
            learning_blobs.update(net.top_names[name])
        if name in names and under_loss & set(net.top_names[name]):
            flows[name] = (learns, below)
    return flows


def _plain(weight):
    """A tensor of its own over the same numbers, as a convolution likes them best."""
    weight = weight.detach()
    return weight.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else weight


def _pair(param, name, default):
    """(height, width) of a convolution's geometry: `<name>_h`/`_w`, or one or two values."""
    values = getattr(param, name)
    values = [values] if isinstance(values, int) else list(values)
    if getattr(param, f"{name}_h", 0) or getattr(param, f"{name}_w", 0):
        return getattr(param, f"{name}_h"), getattr(param, f"{name}_w")
    return tuple(values * 2 if len(values) == 1 else values or [default] * 2)


def _operator(message, shape):
    """The PyTorch call of a layer: call(input, weight[, bias])."""
    if message.type == "InnerProduct":
        return functional.linear
    param = message.convolution_param
    geometry = {"stride": _pair(param, "stride", 1), "padding": _pair(param, "pad", 0),
                "groups": param.group, "dilation": _pair(param, "dilation", 1)}
    operator = (functional.conv2d if message.type == "Convolution"
                else functional.conv_transpose2d)
    return lambda x, weight, bias=None: operator(x, weight, bias, **geometry)
