"""Old NetParameters and SolverParameters brought to the current form (Caffe: upgrade_proto.cpp).

    V0 (2013)   layers { layer { type: "conv" kernelsize: 3 blobs_lr: 1 } bottom: ... }
    V1 (2014)   layers { type: CONVOLUTION blobs_lr: 1 convolution_param { kernel_size: 3 } }
    V2          layer  { type: "Convolution" param { lr_mult: 1 } convolution_param { ... } }

`upgrade_net` and `upgrade_solver` change the message in place and return it; a message in the
current form is not changed.
"""
import logging

from caffe.core.errors import PrototxtError
from caffe.files.upgrade_v0 import upgrade_v0_layers
from caffe.proto import caffe_pb2 as pb
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter, SolverParameter, V1LayerParameter

log = logging.getLogger("caffe")
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
    _mark_cascade(net)
    return net


def _mark_cascade(net: NetParameter) -> None:
    """ROIAlign of Cascade R-CNN's fork, known by its BoxGroupOutput, gives corners, not means."""
    if not any(layer.type == "BoxGroupOutput" for layer in net.layer):
        return
    for layer in net.layer:
        if layer.type == "ROIAlign" and not layer.HasField("roi_align_param"):
            p = layer.roi_pooling_param
            layer.roi_align_param.MergeFrom(pb.ROIAlignParameter(
                pooled_h=p.pooled_h, pooled_w=p.pooled_w, spatial_scale=p.spatial_scale,
                pad_ratio=p.pad_ratio, corners=True))


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


def v1_type_number(type_name: str) -> int | None:
    """The V1LayerParameter.LayerType of a type string; None for types that came later."""
    return next((number for number in pb.V1LayerParameter.LayerType.values()
                 if number and v1_type_name(number) == type_name), None)


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
    """`input`, `input_shape` and `input_dim` become one Input layer, the first of the net.

    Caffe: UpgradeNetInput. `input_shape` takes precedence over `input_dim`; inputs without any
    dimensions are dropped, since an Input layer may give their shape.
    """
    names, dims, shapes = list(net.input), list(net.input_dim), list(net.input_shape)
    if shapes:
        _check_count(origin, names, "input_shape blocks", len(names), len(shapes))
        sizes = [list(shape.dim) for shape in shapes[:len(names)]]
    else:
        if dims:
            _check_count(origin, names, "input_dim numbers", 4 * len(names), len(dims))
        sizes = [dims[i:i + 4] for i in range(0, len(dims), 4)][:len(names)]
    layers = list(net.layer)
    if sizes:
        layer = pb.LayerParameter(name="input", type="Input", top=names)
        for dim in sizes:
            layer.input_param.shape.add(dim=dim)
        layers.insert(0, layer)
    for field in ("layer", "input", "input_dim", "input_shape"):
        net.ClearField(field)
    net.layer.extend(layers)


def _check_count(origin: str, names: list[str], what: str, expected: int, given: int) -> None:
    """Too few are an error; what is too much is ignored, as in Caffe."""
    if given < expected:
        raise PrototxtError(f"{origin}: {len(names)} input(s) need {expected} {what}, {given} are "
                            "given")
    if given > expected:
        log.warning("%s: %d input(s) need %d %s, %d are given; the last ones are ignored", origin,
                    len(names), expected, what, given)
