#!/usr/bin/env python3
"""Folds BatchNorm, Scale and Bias layers into the convolutions before them: the same outputs, with
fewer layers, for testing.
"""
import argparse
import os

import _init_paths  # noqa: F401  (makes the imports below work)

from faster_rcnn.commands import entry, options

EXAMPLES = """\
  tools/gen_merged_model.py models/pvanet/test.pt pvanet.caffemodel \\
      --output_model models/pvanet/test_merged.pt --output_weights pvanet_merged.caffemodel
"""


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="a test net (prototxt)")
    parser.add_argument("weights", metavar="WEIGHTS", help="its weights (.caffemodel or .h5)")
    parser.add_argument("--output_model", metavar="FILE", help="[MODEL with _merged in its name]")
    parser.add_argument("--output_weights", metavar="FILE",
                        help="[WEIGHTS with _merged in its name]")
    return options.parse(parser)


def merged_name(path: str) -> str:
    """net.pt -> net_merged.pt"""
    stem, suffix = os.path.splitext(path)
    return f"{stem}_merged{suffix}"


def main(args: argparse.Namespace) -> None:
    from caffe.files import prototxt, weights
    from caffe.nets.merge_bn import merge_batch_norm
    from faster_rcnn.commands import start
    from faster_rcnn.files.atomic import write_text
    from faster_rcnn.networks.text import net_text

    args.model = start.find_net(args.model, "net")
    start.require_file(args.weights, "weights")
    net, blobs, folded = merge_batch_norm(prototxt.read_net(args.model),
                                          weights.read_weights(args.weights))
    output_model = args.output_model or merged_name(args.model)
    output_weights = args.output_weights or merged_name(args.weights)
    types = {layer.name: layer.type for layer in net.layer}
    if output_weights.endswith(".h5"):
        weights.write_weights_hdf5(output_weights, blobs.items())
    else:
        weights.write_weights(output_weights, net.name, (
            (name, types.get(name, ""), arrays) for name, arrays in blobs.items()))
    write_text(output_model, net_text(net))
    print(f"{len(folded)} layers folded: {', '.join(folded) or 'none'}")
    print(f"Wrote {output_model} and {output_weights}")


if __name__ == "__main__":
    entry.run(parse_args, main)
