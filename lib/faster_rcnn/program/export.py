"""`faster-rcnn export DETECTOR`, and tools/export_net.py: nets in other programs' forms."""
import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faster_rcnn.commands import options, values

if TYPE_CHECKING:
    import caffe
    from faster_rcnn.detectors.finding import Found

DESCRIPTION = """\
Writes a net for other programs. The ending of --out says in which form:

  .onnx                        ONNX
  .py                          a PyTorch module as readable source (its weights: .pth beside it)
  .pt2                         a program of torch.export
  .pt, .pth, .safetensors      only the weights, as PyTorch tensors
  .caffemodel                  only the weights, for Caffe

A whole detector becomes one ONNX file or one Python file that takes a picture and gives boxes,
scores and labels; proposals and NMS are in it. Other nets, and parts of nets (--start, --end), take
and give blobs."""
EXAMPLES = """\
  faster-rcnn export output/faster_rcnn_end2end/cells_train/final.caffemodel
  faster-rcnn export detector.frcnn.zip --out detector.onnx --check my/card.yml:test
  faster-rcnn export detector.frcnn.zip --out small.onnx --fp16
  faster-rcnn export detector.frcnn.zip --out detector.py
"""
SUFFIXES = (".onnx", ".py", ".pt2", ".pt", ".pth", ".safetensors", ".caffemodel")
TENSORS = (".pt", ".pth", ".safetensors")
OPSET = 17      # as caffe.export.layers.graph.DEFAULT_OPSET, which is slow to load


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for(DESCRIPTION, EXAMPLES, prog)
    parser.add_argument("caffemodel", metavar="DETECTOR",
                        help="weights (.caffemodel), a folder that holds them, or an archive")
    add_options(parser, "<name of DETECTOR>.onnx, here")
    args = options.parse(parser, words)
    if args.out is None:
        args.out = usual_name(args.caffemodel)
    return args


def usual_name(detector: str) -> str:
    """The file that is written of a detector where nobody names one."""
    name = os.path.basename(os.path.abspath(detector))
    for suffix in (".frcnn.zip", ".caffemodel", ".h5"):
        name = name.removesuffix(suffix)
    return name + ".onnx"


def named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """The type of --shape: "data=1,3,600,800" -> (name, shape)."""
    name, _, numbers = text.rpartition("=")
    sizes = numbers.split(",")
    if not name or not all(size.strip().isdigit() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f'"{text}" is not BLOB=SIZE,SIZE,...')
    return name, tuple(map(int, sizes))


def add_options(parser: argparse.ArgumentParser, usual_out: str | None = None) -> None:
    """Adds what this verb and the tool have in common."""
    usual = "" if usual_out is None else f" [{usual_out}]"
    parser.add_argument("--def", dest="prototxt", metavar="FILE",
                        help="the net (prototxt) [that of the description]")
    parser.add_argument("--out", metavar="FILE",
                        help="file to write: " + ", ".join(SUFFIXES) + usual)
    parser.add_argument("--opset", type=int, default=OPSET, metavar="N",
                        help=f"ONNX: version of the operators [{OPSET}]")
    parser.add_argument("--check", nargs="?", const="", default=None, metavar="IMDB[:N]",
                        help="ONNX: run the file and compare it with the net; a whole detector on "
                             "a data set, or its first N images, in ONNX Runtime and OpenVINO, if "
                             "they are installed")
    parser.add_argument("--v1", action="store_true",
                        help=".caffemodel: in the format of 2014, for programs that read no other")
    add_detector_args(parser.add_argument_group("whole detectors"))
    add_part_args(parser.add_argument_group("parts of nets, and other nets"))
    options.add_settings_args(parser)


def add_detector_args(group: Any) -> None:
    group.add_argument("--imdb", dest="imdb_name", default=None, metavar="NAME",
                       help="a data set with the detector's classes [those of the description]")
    group.add_argument("--classes", default=None, type=lambda text: text.split(","),
                       metavar="A,B", help="or the names of the classes, without the background")
    group.add_argument("--num_dets", dest="max_per_image", default=100, type=values.count,
                       metavar="N", help="largest number of detections per image; 0: all [100]")
    group.add_argument("--det_thresh", default=0.05, type=values.number, metavar="P",
                       help="only detections with a larger score count [0.05]")
    group.add_argument("--fp16", action="store_true",
                       help="half precision for weights and layers; boxes stay float32")
    group.add_argument("--quantize", choices=["int8"], default=None,
                       help="8 bits for weights and layers, with ONNX Runtime's tool; needs "
                            "--calibrate")
    group.add_argument("--calibrate", default=None, metavar="IMDB[:N]",
                       help="data set, or its first N images, on which the ranges for --quantize "
                            "are measured [100 images]")
    group.add_argument("--blobs", action="store_true",
                       help="the inputs are the net's blobs instead of a picture: scaling and "
                            "subtraction of the means are not in the file")


def add_part_args(group: Any) -> None:
    group.add_argument("--start", nargs="+", default=[], metavar="BLOB",
                       help="blobs that are inputs; the layers before them are left out")
    group.add_argument("--end", nargs="+", default=[], metavar="BLOB",
                       help="blobs that are outputs [those of the net]")
    group.add_argument("--shape", nargs="+", type=named_shape, default=[], metavar="BLOB=N,C,H,W",
                       help="fixed sizes of the inputs [those of the prototxt]")


def load_net(args: argparse.Namespace, found: "Found",
             classes: Sequence[str] | None) -> "caffe.Net":
    """The net that --def names, or the described one, with its weights, on the CPU."""
    import caffe
    from faster_rcnn.commands import start
    from faster_rcnn.detection.filled import require_filled
    from faster_rcnn.export.making import net_for_classes

    caffe.set_mode_cpu()
    if args.prototxt or found.description is None:
        definition = start.find_net(args.prototxt, "net (--def)")
        net = net_for_classes(definition, found.weights, None if classes is None else len(classes))
    else:
        net = caffe.Net(found.description.net_message(), caffe.TEST, weights=found.weights)
    require_filled(net, found.weights, allow_random=False)
    return net


def main(args: argparse.Namespace) -> None:
    """Runs this verb."""
    from faster_rcnn.commands import described, start
    from faster_rcnn.commands.exports import choices, onnx_files, pytorch_files
    from faster_rcnn.export.making import is_whole_detector

    if not args.out or not args.out.endswith(SUFFIXES):
        raise start.OptionError(f"--out must name a file that ends in {', '.join(SUFFIXES)}")
    with described.opened_weights(args.caffemodel, "weights (--net)") as found:
        start.apply_settings(args, show=False, described=described.settings_of(found.description))
        classes = choices.known_classes(args, found)
        net = load_net(args, found, classes)
        if args.check is not None and args.imdb_name is None:
            args.imdb_name = described.test_imdb(found.description)
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    is_part = bool(args.start or args.end or args.shape)
    if args.out.endswith(".caffemodel"):
        choices.check_kind(args, "a .caffemodel")
        (net.save_v1 if args.v1 else net.save)(args.out)
    elif args.out.endswith(TENSORS):
        pytorch_files.write_tensors(args, net)
    elif not args.out.endswith(".onnx"):
        pytorch_files.write_pytorch(args, net, classes, is_part)
    elif is_whole_detector(net) and not is_part:
        onnx_files.write_detector(args, net, classes)
    else:
        onnx_files.write_part(args, net)
    print(f"Wrote {args.out}")
