"""What a plan runs, one after the other: layers as they are, and chains of layers in one go."""
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from caffe.core.blob import Blob
from caffe.core.memory import Memory
from caffe.layer_types.common.module import Shape
from caffe.layer_types.maps.convolution import Convolution
from caffe.nets.plan.absent import AbsentBlobs
from caffe.nets.plan.chains import Chain
from caffe.nets.plan.joining import Joint, Slot, is_joint
from caffe.nets.plan.kernels import Kernel, folded_weights, make_kernel
from caffe.runners.module_runner import ModuleRunner, SplitRunner
from caffe.runners.runner import LayerRunner


def run_layer(layer: LayerRunner, record: bool) -> Tensor | float:
    """A layer's forward pass; returns what it adds to the objective."""
    layer.forward(record)
    if layer.same_memory:
        layer.spread_in_place()
    return layer.loss() if layer.losses else 0.0


class LayerStep:
    """A layer as it is."""

    def __init__(self, layer: LayerRunner) -> None:
        self.layer = layer
        self.layers = [layer]

    def run(self) -> Tensor | float:
        """Computes the tops; returns what the layer adds to the objective."""
        return run_layer(self.layer, False)


class JoinStep(LayerStep):
    """A Concat, into whose top the steps before it have written their own.

    parts: the memories of the bottoms that are written there.
    """

    def __init__(self, layer: ModuleRunner) -> None:
        super().__init__(layer)
        self.joint = Joint(layer)
        self.parts: list[Memory] = []

    def run(self) -> Tensor | float:
        """Copies what is not in the top yet."""
        top = self.joint.complete([blob.values.as_is() for blob in self.layer.bottoms])
        if top is None:
            return run_layer(self.layer, False)
        # a part that somebody has the array of stays there behind this step
        is_whole = not any(memory.is_held for memory in self.parts)
        self.layer.tops[0].values.set(top, owned=is_whole)
        self.layer.tops[0].values.fresh = is_whole
        return 0.0


class ChainStep:
    """A chain; for bottoms that its kernel cannot take (empty ones), its layers one by one.

    hidden    the memories of the blobs inside, which are left out
    thinning  along both axes only every so many-th pixel of the top is computed (thinning.py)
    source    the step that thins the bottom, or None
    is_last   whether no later step reads what the source has computed
    overwrites  whether the residual's values are not needed any more behind this step
    slot      where the top goes in that of a Concat (joining.py), or None
    thin_top  the thinned top, until its last reader has run
    """

    def __init__(self, chain: Chain, absent: AbsentBlobs) -> None:
        self.chain, self.layers = chain, chain.layers
        self.hidden = [blob.values for blob in chain.hidden]
        self._absent = absent
        self._bottom, self.top = chain.host.bottoms[0], chain.top
        self._factors = chain.host.factors
        module = chain.host.module
        self._own_stride = module.windows.stride if isinstance(module, Convolution) else ()
        self._weights = folded_weights(chain)
        self._made_for: tuple[Shape | torch.Size, ...] = ()
        self._kernel: Kernel | None = None
        self.thin_top: Tensor | None = None
        self.stand_alone()

    def stand_alone(self) -> None:
        """Forgets what was agreed with other steps."""
        self.thinning, self.is_last, self.overwrites = 1, False, False
        self.source: ChainStep | None = None
        self.slot: Slot | None = None

    def run(self) -> float:
        """Computes the chain's top, and leaves the hidden blobs to be computed on demand."""
        thinning = 1 if self.thinning > 1 and self.top.values.is_held else self.thinning
        thin = None if self.source is None else self._thin_bottom(self.source, thinning)
        x = self._read(self._bottom) if thin is None else thin.to(self._factors)
        residual = None if self.chain.residual is None else self._read(self.chain.residual)
        self.thin_top = None    # a pass that failed may have left one
        stride = self._own_stride
        if thinning > 1 or thin is not None:
            stride = self._stride(thinning, thin is not None)
        self._prepare(x, x.shape if thin is None else self._bottom.shape, stride)
        if self._kernel is None or (residual is not None and residual.shape != self._top_shape):
            for layer in self.chain.layers:
                run_layer(layer, False)
        else:
            self._compute(self._kernel, x, residual, thinning)
        if self.source is not None and self.is_last:
            self.source.thin_top = None
        return 0.0

    def _compute(self, kernel: Kernel, x: Tensor, residual: Tensor | None, thinning: int) -> None:
        top_values = self.top.values
        if thinning > 1:
            few = None if residual is None else residual[:, :, ::thinning, ::thinning]
            self.thin_top = kernel(x, few, None)
            self._absent.leave_out(top_values, self._top_shape)
        elif self.slot is not None:
            out = self.slot.place(self._top_shape)
            top = kernel(x, residual, out)
            top_values.set(top, owned=top is not out)
            top_values.fresh = top is not out
        else:
            top_values.set(kernel(x, residual, residual if self._may_overwrite() else None))
            top_values.fresh = True
        for memory in self.hidden:
            self._absent.leave_out(memory, self._top_shape)

    def _thin_bottom(self, source: "ChainStep", thinning: int) -> Tensor | None:
        """The pixels of the bottom that its source has computed; None where more are needed, since
        somebody has got the array of this top."""
        return source.thin_top if self._own_stride[0] * thinning == source.thinning else None

    def _may_overwrite(self) -> bool:
        """Whether the top may take the residual's place in the memory at this moment."""
        if not self.overwrites or self.chain.residual is None:
            return False
        memory = self.chain.residual.values
        return memory.fresh and not (memory.is_held or memory.is_lent)

    def _stride(self, thinning: int, is_thin: bool) -> tuple[int, ...]:
        """The stride that leads from the pixels that are there to those that are computed."""
        there = self.source.thinning if self.source is not None and is_thin else 1
        return tuple(stride * thinning // there for stride in self._own_stride)

    def _read(self, blob: Blob) -> Tensor:
        """The blob's tensor in the type of the chain's factors."""
        if self._factors == torch.float32:
            return blob.values.get()
        return blob.values.as_is().to(self._factors)

    def _prepare(self, x: Tensor, shape: Shape, stride: tuple[int, ...]) -> None:
        """Makes the kernel for x, where that is another one than the last.

        shape: that of the bottom, of which x may be a part; stride: what leads from the pixels of x
        to those that are computed.
        """
        if self._made_for == (shape, x.shape, stride):
            return
        self._kernel, self._made_for = None, (shape, x.shape, stride)
        self._top_shape = tuple(self._shape_of_top(shape))
        if x.numel() and x.dtype == self._factors:
            self._kernel = make_kernel(self.chain, self._weights, tuple(x.shape), stride)

    def _shape_of_top(self, shape: Shape) -> Shape:
        return self.chain.host.module.top_shapes([tuple(shape)])[0] or ()


Step = LayerStep | ChainStep


def make_steps(layers: Sequence[LayerRunner], chains: dict[int, ChainStep]) -> list[Step]:
    """The steps of a net, in the order of its layers; chains: by the host's position."""
    carried_out = {place for place, layer in enumerate(layers) if isinstance(layer, SplitRunner)}
    carried_out |= {place for step in chains.values() for place in step.chain.places}
    return [chains[place] if place in chains else LayerStep(layer)
            for place, layer in enumerate(layers) if place in chains or place not in carried_out]


def join_concats(steps: Sequence[Step], leaving: Sequence[Sequence[Memory]]) -> list[Step]:
    """The same steps, with chains that write into the top of the Concat that reads them.

    leaving: per step, the memories that the pass lets go behind it.
    """
    makers = {id(step.top): step for step in steps if isinstance(step, ChainStep)
              and step.chain.host.factors == torch.float32}
    joined = []
    for step, memories in zip(steps, leaving):
        own = _joined(step, makers, memories) if is_joint(step.layers[0]) else None
        joined.append(own or step)
    return joined


def reuse_residuals(steps: Sequence[Step], leaving: Sequence[Sequence[Memory]]) -> None:
    """Has chains write their tops over residuals that leave behind them, where only chains, which
    keep no tensor of what they read, make and read these.

    leaving: per step, the memories that the pass lets go behind it.
    """
    made = {id(step.top.values) for step in steps if isinstance(step, ChainStep)}
    made -= {id(blob.values) for step in steps if not isinstance(step, ChainStep)
             for layer in step.layers for blob in (*layer.bottoms, *layer.tops)}
    for step, memories in zip(steps, leaving):
        if isinstance(step, ChainStep) and step.chain.residual is not None:
            key = id(step.chain.residual.values)
            step.overwrites = (key in made and any(id(memory) == key for memory in memories)
                               and key != id(step.chain.host.bottoms[0].values))


def _joined(step: Step, makers: Mapping[int, ChainStep],
            leaving: Sequence[Memory]) -> JoinStep | None:
    """A JoinStep in place of the Concat, or None where no chain can write into its top."""
    layer = step.layers[0]
    assert isinstance(layer, ModuleRunner)
    made, gone = JoinStep(layer), {id(memory) for memory in leaving}
    for index, blob in enumerate(layer.bottoms):
        maker = makers.get(id(blob))
        if maker is not None and id(blob.values) in gone:
            maker.slot = Slot(made.joint, index)
            made.parts.append(blob.values)
    return made if made.parts else None
