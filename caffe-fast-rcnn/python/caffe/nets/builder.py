"""From a NetParameter to layers that are wired, shaped and filled (Caffe: Net::Init)."""
import logging
from typing import NamedTuple

import caffe.layer_types  # noqa: F401 - registers all types
from caffe.core import state
from caffe.core.blob import AnyParamBlob, Blob, ParamBlob, SharedParamBlob
from caffe.core.errors import LayerError
from caffe.core.types import FilePath
from caffe.layer_types.common import registry
from caffe.nets.gradients import mark_backward
from caffe.nets.rules import filter_layers, insert_splits, unknown_bottom
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter, ParamSpec
from caffe.runners.module_runner import ModuleRunner, SplitRunner
from caffe.runners.python_runner import python_runner
from caffe.runners.runner import LayerRunner

log = logging.getLogger("caffe")
_AUTOMATIC = "(automatic)"
_SHARING_TYPES = ("Flatten", "Reshape")     # Caffe: their tops are the bottom's memory


class Learnable(NamedTuple):
    """A learnable blob of the net, with its multipliers of learning rate and weight decay."""

    blob: AnyParamBlob
    lr_mult: float
    decay_mult: float


class _Owner:
    """The first layer that uses a learnable blob, and the multipliers that were given for it."""

    def __init__(self, layer: LayerRunner, blob: ParamBlob, spec: ParamSpec) -> None:
        self.layer, self.blob = layer, blob
        self.lr_mult = spec.lr_mult if spec.HasField("lr_mult") else None
        self.decay_mult = spec.decay_mult if spec.HasField("decay_mult") else None

    def learnable(self) -> Learnable:
        """The Learnable; 1 is Caffe's default for both multipliers."""
        return Learnable(self.blob, *(1.0 if mult is None else mult
                                      for mult in (self.lr_mult, self.decay_mult)))


class NetBuilder:
    """Builds the layers of a net in the order of the prototxt.

    message: NetParameter of the current form whose `state` says phase, level and stages; folder: of
    the prototxt, where modules of Python layers may lie.

    After `build`: layers (LayerRunners), blob_names and blobs (in order of appearance),
    loss_weights (per blob), inputs and outputs (names), learnables (Learnable, owners only), owned
    (per layer and learnable blob: whether the layer is its first user).
    """

    def __init__(self, message: NetParameter, folder: FilePath | None = None) -> None:
        self.folder = folder
        self.message = insert_splits(filter_layers(message))
        self.phase = self.message.state.phase
        self.device = state.device()
        self.layers: list[LayerRunner] = []
        self.blob_names: list[str] = []
        self.blobs: list[Blob] = []
        self.loss_weights: list[float] = []
        self.inputs: list[str] = []
        self.learnables: list[Learnable] = []
        self.owned: list[list[bool]] = []
        self._by_name: dict[str, Blob] = {}
        self._available: set[str] = set()
        self._shared_with: dict[int, list[Blob]] = {}       # id of a blob -> blobs of its memory
        self._owners: list[_Owner] = []
        self._named_owners: dict[str, _Owner] = {}

    def build(self) -> "NetBuilder":
        """Builds everything; returns self."""
        for layer in self.message.layer:
            self._add_layer(layer)
        self.outputs = sorted(self._available, key=lambda name: name.encode("utf-8"))
        self.learnables = [owner.learnable() for owner in self._owners]
        mark_backward(self.layers, self.message.force_backward)
        self._warn_of_equal_names()
        return self

    def _warn_of_equal_names(self) -> None:
        """Weights are stored and shared by name, so that equal ones are mixed up elsewhere."""
        first: dict[str, int] = {}
        for index, layer in enumerate(self.layers):
            other = first.setdefault(layer.name, index)
            if other != index and layer.blobs and self.layers[other].blobs:
                log.warning('layers %d (%s) and %d (%s) of the net have the same name "%s"; Caffe '
                            "would load the weights of the second into the first: rename one",
                            other, self.layers[other].type, index, layer.type, layer.name)

    def _add_layer(self, message: LayerParameter) -> None:
        param = caffe_pb2.LayerParameter()
        param.CopyFrom(message)
        if not param.HasField("phase"):
            param.phase = self.phase
        bottoms = [self._take_bottom(param, i) for i in range(len(param.bottom))]
        tops = [self._add_top(param, i) for i in range(len(param.top))]
        tops += self._automatic_tops(param)
        layer = self._make(param, bottoms, tops)
        layer.set_loss_weights()
        for blob, weight in zip(layer.tops, layer.loss_weights):
            self.loss_weights[self._position(blob)] = weight
        self._note_shared_memory(layer)
        self._add_params(layer)
        self.layers.append(layer)

    def _make(self, param: LayerParameter, bottoms: list[Blob], tops: list[Blob]) -> LayerRunner:
        if param.type == "Python":
            return python_runner(param, bottoms, tops, self.device, self.folder)
        if param.type == "Split" and len(bottoms) == 1:
            return SplitRunner(param, bottoms, tops)
        return ModuleRunner(param, bottoms, tops, self.device)

    def _take_bottom(self, param: LayerParameter, index: int) -> Blob:
        name = param.bottom[index]
        if name not in self._available:
            raise unknown_bottom(param, index, self._available)
        self._available.remove(name)
        return self._by_name[name]

    def _add_top(self, param: LayerParameter, index: int) -> Blob:
        name = param.top[index]
        if index < len(param.bottom) and param.bottom[index] == name:
            self._available.add(name)
            return self._by_name[name]
        if name in self._by_name:
            maker = next((layer.name for layer in self.layers if name in layer.top_names),
                         param.name)
            raise LayerError(f'layer "{param.name}" ({param.type}): the top "{name}" is already '
                             f'made by layer "{maker}"; rename one of them')
        blob = self._new_blob(name)
        self._by_name[name] = blob
        self._available.add(name)
        if param.type == "Input":
            self.inputs.append(name)
        return blob

    def _new_blob(self, name: str) -> Blob:
        blob = Blob((), self.device)
        self.blob_names.append(name)
        self.blobs.append(blob)
        self.loss_weights.append(0.0)
        return blob

    def _position(self, blob: Blob) -> int:
        return next(i for i in reversed(range(len(self.blobs))) if self.blobs[i] is blob)

    def _automatic_tops(self, param: LayerParameter) -> list[Blob]:
        """Tops that the prototxt leaves out and the type adds automatically (losses)."""
        tops = []
        if param.type not in ("Python", "Split"):
            cls = registry.lookup(param.type, param.name)
            while cls.auto_top and len(param.top) < cls.tops[0]:
                param.top.append(_AUTOMATIC)
                tops.append(self._new_blob(_AUTOMATIC))
        return tops

    def _note_shared_memory(self, layer: LayerRunner) -> None:
        """Finds the blobs that share memory with a bottom that the layer changes in place."""
        if layer.type in _SHARING_TYPES:
            source = layer.bottoms[0]
            self._shared_with[id(layer.tops[0])] = [source, *self._shared_with.get(id(source), ())]
        elif layer.bottoms and layer.tops and layer.bottoms[0] is layer.tops[0]:
            layer.same_memory = self._shared_with.get(id(layer.tops[0]), [])

    # ------------------------------------------------------------------------------- parameters

    def _add_params(self, layer: LayerRunner) -> None:
        """Registers the learnable blobs of a layer (Caffe: Net::AppendParam)."""
        specs = layer.param.param
        if len(specs) > len(layer.blobs):
            raise layer.error(f"expected at most {len(layer.blobs)} param blocks, one per "
                              f"learnable blob, got {len(specs)}")
        owned = []
        for i in range(len(layer.blobs)):
            spec = specs[i] if i < len(specs) else caffe_pb2.ParamSpec()
            owner = self._named_owners.get(spec.name) if spec.name else None
            owned.append(owner is None)
            if owner is not None:
                self._share(layer, i, spec, owner)
                continue
            owner = _Owner(layer, layer.blobs[i], spec)
            self._owners.append(owner)
            if spec.name:
                self._named_owners[spec.name] = owner
        self.owned.append(owned)

    def _share(self, layer: LayerRunner, index: int, spec: ParamSpec, owner: _Owner) -> None:
        shape, wanted = layer.blobs[index].shape, owner.blob.shape
        where = (f'param {index} is shared as "{spec.name}" with layer "{owner.layer.name}" '
                 f"({owner.layer.type})")
        if spec.share_mode == caffe_pb2.ParamSpec.PERMISSIVE:
            if layer.blobs[index].count != owner.blob.count:
                raise layer.error(f"{where}, which has {owner.blob.count} values, not "
                                  f"{layer.blobs[index].count}")
        elif shape != wanted:
            raise layer.error(f"{where}, which has shape {wanted}, not {shape}")
        for field in ("lr_mult", "decay_mult"):
            if spec.HasField(field):
                known = getattr(owner, field)
                if known is None:
                    setattr(owner, field, getattr(spec, field))
                elif known != getattr(spec, field):
                    raise layer.error(f"{where} with {field} {known:g}, not "
                                      f"{getattr(spec, field):g}")
        blob = owner.blob if shape == wanted else SharedParamBlob(owner.blob, shape)
        layer.use_blob(index, blob)
