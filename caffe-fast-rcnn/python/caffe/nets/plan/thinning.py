"""Which pixels of a chain's top nobody reads.

A convolution of 1 x 1 with stride 2 reads a quarter of the pixels of its bottom; where nobody reads
the others, the chain that makes the bottom computes that quarter alone, with twice its own stride.
If its own kernel is 1 x 1 as well, so does the chain before it. ResNets have such a place at the
end of each stage (two convolutions read it), which saves most of a unit's work.
"""
from collections.abc import Collection, Sequence

from caffe.layer_types.maps.convolution import Convolution
from caffe.nets.plan.steps import ChainStep, Step


def thin_tops(steps: Sequence[Step], leaving: Collection[int]) -> None:
    """Has the chains compute no more pixels than are read.

    steps: all of a pass; leaving: ids of the memories that it lets go.
    """
    readers, others = _readers(steps)
    for step in reversed(steps):
        if not isinstance(step, ChainStep) or not isinstance(step.chain.host.module, Convolution):
            continue
        key = id(step.top.values)
        strides = {_skips(reader) for reader in readers.get(key, [])}
        if key not in leaving or key in others or len(strides) != 1:
            continue
        step.thinning = strides.pop()
        if step.thinning > 1:
            for reader in readers[key]:
                reader.source = step
            readers[key][-1].is_last = True


def _readers(steps: Sequence[Step]) -> tuple[dict[int, list[ChainStep]], set[int]]:
    """{id of a memory: chains whose host reads it}; ids of those that are read otherwise."""
    hosts: dict[int, list[ChainStep]] = {}
    others: set[int] = set()
    for step in steps:
        if isinstance(step, ChainStep):
            hosts.setdefault(id(step.chain.host.bottoms[0].values), []).append(step)
            if step.chain.residual is not None:
                others.add(id(step.chain.residual.values))
        else:
            others |= {id(blob.values) for blob in step.layer.bottoms}
    return hosts, others


def _skips(step: ChainStep) -> int:
    """Along both axes the chain reads every so many-th pixel of its bottom; 1: all."""
    module = step.chain.host.module
    if not isinstance(module, Convolution):
        return 1
    w = module.windows
    if w.kernel != (1, 1) or w.pad != (0, 0) or w.stride[0] != w.stride[1]:
        return 1
    return w.stride[0] * step.thinning
