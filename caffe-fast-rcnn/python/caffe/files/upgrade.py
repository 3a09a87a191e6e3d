"""Old NetParameters and SolverParameters brought to the current form (Caffe: upgrade_proto.cpp).

    V0 (2013)   layers { layer { type: "conv" kernelsize: 3 blobs_lr: 1 } bottom: ... }
    V1 (2014)   layers { type: CONVOLUTION blobs_lr: 1 convolution_param { kernel_size: 3 } }
    V2          layer  { type: "Convolution" param { lr_mult: 1 } convolution_param { ... } }

`upgrade_net` and `upgrade_solver` change the message in place and return it; a message in the
current form is not changed.
"""
from caffe.core.errors import PrototxtError
from caffe.files.upgrade_v0 import upgrade_v0_layers
from caffe.proto import caffe_pb2 as pb
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter, SolverParameter, V1LayerParameter

# V1 enum name -> V2 type string, for all but the plain ones (INNER_PRODUCT -> InnerProduct).
_V1_TYPES = {
    "NONE": "", "ABSVAL": "AbsVal", "ARGMAX": "ArgMax", "BNLL": "BNLL", "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output", "IM2COL": "Im2col", "LRN": "LRN", "MVN": "MVN", "RELU": "ReLU",
    "ROI_POOLING": "ROIPooling", "SOFTMAX_LOSS": "SoftmaxWithLoss", "TANH": "TanH",
}
_V1_DATA_LAYERS = {"DATA": "data_param", "IMAGE_DATA": "image_data_param",
                   "WINDOW_DATA": "window_data_param"}
_SOLVER_TYPES = {"SGD": "SGD", "NESTEROV": "Nesterov", "ADAGRAD": "AdaGrad", "RMSPROP": "RMSProp",
                 "ADADELTA": "AdaDelta", "ADAM": "Adam"}


def upgrade_net(net: NetParameter, origin: str = "<net>") -> NetParameter:
    """Brings a NetParameter to the current form; PrototxtError when it contradicts itself."""
    if net.layers and net.layer:
        raise PrototxtError(f'{origin}: both "layers" (the old form) and "layer" are used; write '
                            'all of them as "layer"')
    if any(layer.HasField("layer") for layer in net.layers):
        upgrade_v0_layers(net, origin)
    if net.layers:
        _upgrade_v1_layers(net)
    if net.input:
        _upgrade_inputs(net, origin)
    for layer in net.layer:
        # Three ParamSpecs on a BatchNorm only said "do not train these"; Caffe 1.0 never does.
        if layer.type == "BatchNorm" and len(layer.param) == 3:
            del layer.param[:]
    return net


def upgrade_solver(solver: SolverParameter, origin: str = "<solver>") -> SolverParameter:
    """Brings a SolverParameter to the current form, with the nets that are written inside it."""
    if solver.HasField("solver_type"):
        if solver.HasField("type"):
            raise PrototxtError(f'{origin}: "solver_type" (the old form) and "type" are both '
                                'given; keep "type"')
        solver.type = _SOLVER_TYPES[pb.SolverParameter.SolverType.Name(solver.solver_type)]
        solver.ClearField("solver_type")
    for field in ("net_param", "train_net_param"):
        if solver.HasField(field):
            upgrade_net(getattr(solver, field), origin)
    for net in solver.test_net_param:
        upgrade_net(net, origin)
    return solver


def v1_type_name(number: int) -> str:
    """The type string of a V1LayerParameter.LayerType, such as "InnerProduct" for 14."""
    value = pb.V1LayerParameter.LayerType.Name(number)
    return _V1_TYPES.get(value, value.title().replace("_", ""))


def _upgrade_v1_layers(net: NetParameter) -> None:
    for old in net.layers:
        _move_data_transformation(old)
        new = net.layer.add(name=old.name, type=v1_type_name(old.type), bottom=old.bottom,
                            top=old.top, include=old.include, exclude=old.exclude,
                            blobs=old.blobs, loss_weight=old.loss_weight)
        for field, value in old.ListFields():
            if field.name.endswith("_param"):
                getattr(new, field.name).CopyFrom(value)
        _upgrade_param_specs(old, new)
    net.ClearField("layers")


def _upgrade_param_specs(old: V1LayerParameter, new: LayerParameter) -> None:
    """V1 wrote one list per property of the learnable blobs, V2 one ParamSpec per blob."""
    lists = {"name": old.param, "share_mode": old.blob_share_mode,
             "lr_mult": old.blobs_lr, "decay_mult": old.weight_decay}
    for _ in range(max(len(values) for values in lists.values())):
        new.param.add()
    for field, values in lists.items():
        for spec, value in zip(new.param, values, strict=False):
            setattr(spec, field, value)


def _move_data_transformation(layer: V1LayerParameter) -> None:
    """Data layers once held scale, mean, crop and mirror themselves; now transform_param does."""
    block = _V1_DATA_LAYERS.get(pb.V1LayerParameter.LayerType.Name(layer.type))
    if block is None or not layer.HasField(block):
        return
    data_param = getattr(layer, block)
    for field in ("scale", "mean_file", "crop_size", "mirror"):
        if data_param.HasField(field):
            setattr(layer.transform_param, field, getattr(data_param, field))
            data_param.ClearField(field)


def _upgrade_inputs(net: NetParameter, origin: str) -> None:
    """`input`, `input_shape` and `input_dim` become one Input layer, the first of the net."""
    count, dims, shapes = len(net.input), list(net.input_dim), list(net.input_shape)
    if dims and shapes:
        raise PrototxtError(f'{origin}: "input_dim" and "input_shape" are both given; keep '
                            '"input_shape"')
    if not shapes and len(dims) != 4 * count:
        raise PrototxtError(f"{origin}: {count} input(s) need {4 * count} input_dim numbers (or an "
                            f"input_shape each), {len(dims)} are given")
    if shapes and len(shapes) != count:
        raise PrototxtError(f"{origin}: {count} input(s) need {count} input_shape blocks, "
                            f"{len(shapes)} are given")
    layer = pb.LayerParameter(name="input", type="Input", top=net.input)
    for i in range(count):
        dim = shapes[i].dim if shapes else dims[4 * i:4 * i + 4]
        layer.input_param.shape.add(dim=dim)
    layers = [layer, *net.layer]
    for field in ("layer", "input", "input_dim", "input_shape"):
        net.ClearField(field)
    net.layer.extend(layers)
