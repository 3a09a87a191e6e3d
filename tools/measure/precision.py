"""What a test net of bf16 saves: seconds of one core per image, against float32.

    python tools/measure/precision.py models/pascal_voc/VGG16/faster_rcnn_end2end/test.prototxt \\
        --size 600x800 --rounds 5

The weights are random, of usual sizes, or those of --weights. The two nets take turns, and time is
what one thread computed, so that other programs disturb it little; the figure is the least of all
rounds but the first, in which the net is planned.
"""
import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from made_nets import fill

import caffe

PRECISIONS = "float32", "bf16"
ROIS = 300      # of a net that makes no proposals


def built(prototxt, weights):
    """{precision: net} of one prototxt, with the same weights."""
    nets = {}
    for precision in PRECISIONS:
        caffe.set_precision(precision, caffe.TEST)
        nets[precision] = caffe.Net(prototxt, caffe.TEST, weights=weights)
    caffe.set_precision("float32", caffe.TEST)
    if weights is None:
        fill(nets["float32"], np.random.default_rng(1))
    nets["bf16"].share_with(nets["float32"])
    return nets


def feed(net, height, width):
    """A random picture; im_info or rois where the net wants them."""
    random = np.random.default_rng(2)
    corners = random.random((ROIS, 4)) * [width / 2, height / 2, width / 2, height / 2]
    corners[:, 2:] += corners[:, :2]
    inputs = {"data": random.standard_normal((1, 3, height, width)) * 50,
              "im_info": [[height, width, 1]], "rois": np.pad(corners, ((0, 0), (1, 0)))}
    for name in net.inputs:
        array = np.asarray(inputs[name], np.float32)
        net.blobs[name].reshape(*array.shape)
        net.blobs[name].data[...] = array


def seconds(nets, height, width, rounds):
    """{precision: least seconds of a thread}."""
    found = {precision: [] for precision in nets}
    for _ in range(rounds + 1):
        for precision, net in nets.items():
            feed(net, height, width)
            start = time.thread_time()
            net.forward()
            found[precision].append(time.thread_time() - start)
    return {precision: min(times[1:]) for precision, times in found.items()}


def main():
    """Prints one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prototxt", help="a test net")
    parser.add_argument("--weights", default=None, help=".caffemodel (random weights)")
    parser.add_argument("--size", default="600x800", metavar="HEIGHTxWIDTH",
                        help="size of the picture (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each net (%(default)s)")
    args = parser.parse_args()
    height, width = map(int, args.size.split("x"))
    nets = built(args.prototxt, args.weights)
    if nets["bf16"].precision != "bf16":
        raise SystemExit("this processor has no instructions for bf16")
    least = seconds(nets, height, width, args.rounds)
    print(f"{args.prototxt} {args.size}: float32 {1000 * least['float32']:.1f} ms, "
          f"bf16 {1000 * least['bf16']:.1f} ms, ratio {least['float32'] / least['bf16']:.2f}")


if __name__ == "__main__":
    main()
