#!/usr/bin/env python
"""Measures layer types in a net of one layer against their plainest fast form in PyTorch.

    ./tools/bench_layers.py                       # every case, forward
    ./tools/bench_layers.py --type Pooling LRN    # some types
    ./tools/bench_layers.py --build               # time to build the detection net of ResNet-101
    ./tools/bench_layers.py --winograd            # VGG16's 3 x 3 layers at 600 x 800: time, error
    ./tools/bench_layers.py --operators           # RoI operators, NMS, losses, LRN: other programs

Sizes are those of AlexNet, VGG16 and ResNet-50 for one picture. The two sides run in turn
(A B A B ...) in one process; a row gives the medians, the median of the ratios of neighbours, and
the ratio of the fastest runs, which other work on the machine disturbs least.
"""
import argparse
import sys
import time

import _init_paths  # noqa: F401
import torch
import torch.nn.functional as F
from measure import operator_peers, winograd
from measure.timing import in_turn

import caffe
from caffe.files import prototxt
from faster_rcnn.commands import start, tool

ALEX, VGG, RES = (1, 96, 55, 55), (1, 64, 224, 224), (1, 256, 56, 56)


def per_channel(vector):
    return vector.view(1, -1, 1, 1)


def batch_norm(x, mean, variance, weight):
    return F.batch_norm(x, mean / weight, variance / weight, eps=1e-5)


# (type, text behind the type, bottom shapes, PyTorch: form(bottoms..., blobs...))
CASES = (
    ("Convolution", "convolution_param { num_output: 256 kernel_size: 5 pad: 2 group: 2 }", [(
        1, 96, 27, 27)], lambda x, w, b: F.conv2d(x, w, b, padding=2, groups=2)),
    ("Convolution", "convolution_param { num_output: 64 kernel_size: 3 pad: 1 }", [VGG],
     lambda x, w, b: F.conv2d(x, w, b, padding=1)),
    ("Convolution", "convolution_param { num_output: 64 kernel_size: 1 bias_term: false }", [RES],
     F.conv2d),
    ("Deconvolution", "convolution_param { num_output: 21 kernel_size: 4 stride: 2 }",
     [(1, 21, 34, 34)], lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2)),
    ("InnerProduct", "inner_product_param { num_output: 4096 }", [(1, 256, 6, 6)],
     lambda x, w, b: F.linear(x.flatten(1), w, b)),
    ("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", [ALEX],
     lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)),
    ("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", [VGG],
     lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True)),
    ("Pooling", "pooling_param { pool: AVE global_pooling: true }", [(1, 2048, 7, 7)],
     lambda x: x.mean((2, 3), keepdim=True)),
    ("LRN", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }", [ALEX],
     lambda x: F.local_response_norm(x, 5, 0.0001, 0.75)),
    ("ReLU", "", [VGG], F.relu),
    ("PReLU", "", [RES], F.prelu),
    ("ELU", "", [RES], F.elu),
    ("Sigmoid", "", [RES], torch.sigmoid),
    ("TanH", "", [RES], torch.tanh),
    ("Power", "power_param { scale: 0.5 shift: 1 }", [RES],
     lambda x: torch.add(1, x, alpha=0.5)),
    ("BatchNorm", "batch_norm_param { use_global_stats: true }", [RES], batch_norm),
    ("Scale", "scale_param { bias_term: true }", [RES],
     lambda x, scale, bias: torch.addcmul(per_channel(bias), x, per_channel(scale))),
    ("Bias", "", [RES], lambda x, bias: x + per_channel(bias)),
    ("Eltwise", "", [RES, RES], torch.add),
    ("Concat", "", [RES, RES], lambda a, b: torch.cat((a, b), 1)),
    ("Softmax", "", [(1, 1000)], lambda x: x.softmax(1)),
    ("Softmax", "", [(1, 2, 342, 50)], lambda x: x.softmax(1)),
    ("ROIPooling", "roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 }",
     [(1, 512, 38, 50), (300, 5)],
     lambda x, rois: torch.ops.caffe_fast_rcnn.roi_pool(x, rois, 7, 7, 0.0625, False)[0]),
)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--type", nargs="+", metavar="TYPE", help="only these layer types",
                        choices=sorted({case[0] for case in CASES}))
    parser.add_argument("--build", action="store_true", help="only the time to build ResNet-101")
    parser.add_argument("--winograd", action="store_true",
                        help="only Winograd's convolution, on VGG16's layers")
    parser.add_argument("--operators", nargs="*", metavar="NAME", choices=operator_peers.OPERATORS,
                        help="only our operators beside those of torchvision, PyTorch, ONNX "
                             "Runtime and OpenVINO, as far as they can be imported: "
                             + ", ".join(operator_peers.OPERATORS) + " (all)")
    parser.add_argument("--repeats", type=int, default=30, help="pairs of runs (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (all cores)")
    return parser.parse_args(argv)


def bottoms_for(shapes):
    """Random values, channels_last where they are images; rois on an image of 600 x 800."""
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    if len(shapes) == 2 and shapes[1][1:] == (5,):
        corner = torch.rand(len(tensors[1]), 2, generator=generator) * 400
        tensors[1] = torch.cat([torch.zeros(len(corner), 1), corner, corner + 200], 1)
    return [tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
            for tensor in tensors]


def measure(kind, text, shapes, form, repeats):
    """The figures of one case (see timing.in_turn)."""
    names = [f"b{i}" for i in range(len(shapes))]
    inputs = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {size}" for size in shape) + " } } }\n"
        for name, shape in zip(names, shapes))
    bottoms = " ".join(f'bottom: "{name}"' for name in names)
    net = caffe.Net(prototxt.read_net_text(
        f'{inputs}layer {{ name: "l" type: "{kind}" {bottoms} top: "t" {text} }}', origin="bench"),
        caffe.TEST)
    tensors = bottoms_for(shapes)
    for name, tensor in zip(names, tensors):
        net.blobs[name].tensor = tensor
    blobs = [blob.tensor.detach() for blob in net.params.get("l", ())]
    for blob in blobs:
        blob.copy_(torch.rand(blob.shape) + 0.5)
    last = len(net.layers) - 1

    @torch.no_grad()
    def bare():
        return form(*tensors, *blobs)
    ours = net.run_forward(last, last), net.blobs["t"].tensor
    wanted = bare()
    # sums of products are as exact as the largest ones of them
    torch.testing.assert_close(ours[1], wanted, rtol=1e-3, atol=4e-6 * float(wanted.abs().max()))
    return in_turn(lambda: net.run_forward(last, last), bare, repeats, warm_up=5)


def build_seconds():
    """(layers, seconds to build) of the detection net of ResNet-101."""
    path = start.find_net("models/pascal_voc/ResNet-101/faster_rcnn_end2end/test.prototxt", "net")
    began = time.perf_counter()
    net = caffe.Net(path, caffe.TEST)
    return len(net.layers), time.perf_counter() - began


def main(argv=None):
    args = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}, {args.repeats} pairs")
    if args.build:
        layers, duration = build_seconds()
        print(f"ResNet-101: {layers} layers built in {duration:.3f} s")
        return
    if args.winograd:
        winograd.show(winograd.VGG16, args.repeats)
        return
    if args.operators is not None:
        operator_peers.show(args.operators or operator_peers.OPERATORS, args.repeats)
        return
    for kind, text, shapes, form in CASES:
        if args.type and kind not in args.type:
            continue
        result = measure(kind, text, shapes, form, args.repeats)
        print(f"{kind:<14} {str(shapes[0]):<20} ours {result['ours'] * 1e3:8.3f} ms   bare "
              f"{result['bare'] * 1e3:8.3f} ms   ratio {result['ratio']:.3f}   of the fastest "
              f"{result['ratio_of_fastest']:.3f}", flush=True)


if __name__ == "__main__":
    sys.exit(tool.run(main))
