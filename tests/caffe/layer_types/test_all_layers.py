"""What holds for every layer type: it can be built, its shapes, gradients and documentation."""
import copy
import pathlib
import re

import numpy as np
import pytest
import torch
from layer_harness import CASES, EXAMPLES, build
from torch.func import functional_call

from caffe.core.errors import LayerError
from caffe.layer_types.common import registry

README = pathlib.Path(__file__).resolve().parents[3] / "caffe-fast-rcnn" / "README.md"
SOURCES = {"AnnotatedData", "Data", "DenseImageData", "DummyData", "HDF5Data", "ImageData",
           "ImageSegData", "Input", "MemoryData", "WindowData"}
WITHOUT_GRADIENT = {"Accuracy", "ArgMax", "BoxAnnotatorOHEM", "BoxGroupOutput", "DecodeBBox",
                    "DetectionEvaluate", "DetectionOutput", "HDF5Output", "PriorBox",
                    "PriorBoxClustered", "Proposal", "ScaleRoute", "SegAccuracy", "Silence",
                    "Threshold", "YoloDetectionOutput", "Yolov3DetectionOutput"}
# Their originals' gradients are not the derivatives; tests by hand have the right values.
NO_DERIVATIVE = {"MarginInnerProduct"}
BLOBS_WITHOUT_DERIVATIVE = {"CenterLoss"}
BUILT_BY_THE_NET = {"Python"}  # its class comes from the user's module: tests/caffe


def case_id(case):
    return re.sub(r"[^\w.-]+", "_", f"{case[0]}-{case[1]}").strip("_-")[:60]


def make(case):
    name, text, bottoms, tops = case
    torch.manual_seed(0)
    return build(f'type: "{name}" {text}', *(b.shape for b in bottoms), tops=tops), bottoms


def as_tuple(tops):
    return tops if isinstance(tops, tuple) else (tops,)


def test_every_registered_type_has_an_example():
    assert set(registry.layer_type_list()) - BUILT_BY_THE_NET == set(EXAMPLES)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_forward_gives_the_announced_shapes(case):
    module, bottoms = make(case)
    if case[0] == "MemoryData":     # its arrays come from the net's user
        module.set_arrays(np.zeros((2, 1, 2, 3), np.float32), np.zeros(2, np.float32))
    shapes = module.top_shapes([tuple(b.shape) for b in bottoms])
    tops = module.double()(*bottoms)
    held = [top if top is not None else first
            for top, first in zip(as_tuple(tops), module.initial_tops())] if not bottoms \
        else as_tuple(tops)
    assert len(shapes) == len(module.param.top)
    if case[0] == "MemoryData":     # Caffe: the labels have four axes from the first pass on
        shapes[1] = (2, 1, 1, 1)
    if case[0] == "Filter":  # announces all items: the selector's values are not known yet
        held = [torch.empty(2, *top.shape[1:]) for top in held]
    assert [tuple(top.shape) for top in held if top is not None] == \
        [shape for shape, top in zip(shapes, held) if top is not None]


def test_meta_run_does_not_touch_the_statistics():
    module = build('type: "BatchNorm"', (2, 3, 4))
    module.top_shapes([(2, 3, 4)])
    assert all(float(blob.abs().sum()) == 0 for blob in module.blobs)


@pytest.mark.parametrize("case", [case for case in CASES
                                  if case[0] not in SOURCES | NO_DERIVATIVE], ids=case_id)
def test_gradient_equals_finite_differences(case):
    module, bottoms = make(case)
    module = module.double()
    for blob in module.blobs:
        blob.data.add_(0.3)
    count = len(bottoms)
    blocked = {i % count for i in module.no_gradient if i < count}
    bottoms = [b.clone().requires_grad_(i not in blocked) for i, b in enumerate(bottoms)]
    names = [name for name, blob in module.named_parameters() if blob.requires_grad
             and case[0] not in BLOBS_WITHOUT_DERIVATIVE]

    def function(*tensors):
        torch.manual_seed(0)  # Dropout and stochastic pooling draw the same again
        fresh = copy.deepcopy(module)  # statistics and states start anew
        blobs = dict(zip(names, tensors[count:]))
        tops = as_tuple(functional_call(fresh, blobs, tensors[:count]))
        return tuple(top for top in tops if top is not None and top.requires_grad)

    tensors = (*bottoms, *(dict(module.named_parameters())[name] for name in names))
    if not function(*tensors):
        assert case[0] in WITHOUT_GRADIENT
        return
    tolerance = 1e-3 if case[0] == "ContrastiveLoss" else 1e-6  # Caffe: its guard of 1e-4
    if case[0] == "LSTM" and count > 2:  # Caffe: no gradient for the first states
        tensors = tuple(t.detach() if i in (3, 4) else t for i, t in enumerate(tensors))
    assert torch.autograd.gradcheck(function, tensors, atol=tolerance, rtol=1e-4,
                                    fast_mode=True)


def test_readme_lists_every_type():
    row = re.compile(r"^\| (\w+) \|.*\| ([\w./]+\.py) \|$", re.MULTILINE)
    files = dict(row.findall(README.read_text()))
    assert set(registry.layer_type_list()) <= set(files)
    for name in set(files) & set(EXAMPLES):
        module = registry.lookup(name, "lay").__module__
        assert files[name] == "/".join(module.split(".")[-2:]) + ".py", name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_too_few_bottoms_or_tops_are_refused(name):
    layer = registry.lookup(name, "lay")
    least_bottoms, least_tops = layer.bottoms[0], layer.tops[0]
    text, bottoms, tops = EXAMPLES[name][0]
    if least_bottoms:
        with pytest.raises(LayerError, match=r'layer "lay".*bottom'):
            build(f'type: "{name}" {text}', tops=tops)
    if least_tops:
        with pytest.raises(LayerError, match=r'layer "lay".*top'):
            build(f'type: "{name}" {text}', *(b.shape for b in bottoms), tops=0)


@pytest.mark.parametrize("name", [n for n in EXAMPLES if registry.lookup(n, "lay").in_place])
def test_in_place_form_equals_the_plain_one(name):
    for text, (x,), _ in EXAMPLES[name]:
        module = build(f'type: "{name}" {text}', x.shape).double()
        leaf = x.clone().requires_grad_()
        top = module(leaf)
        grad = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).reshape(x.shape)
        expected, = torch.autograd.grad(top, leaf, grad)
        changed = x.clone()
        assert module.forward_inplace(changed) is changed
        torch.testing.assert_close(changed, top.detach())
        torch.testing.assert_close(module.backward_inplace(changed, grad), expected)
