"""`faster-rcnn detect DETECTOR PICTURE ...`, and tools/demo.py: objects in pictures and videos."""
import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from faster_rcnn.commands import options, values

if TYPE_CHECKING:
    from faster_rcnn.commands.described import Wanted
    from faster_rcnn.detectors.detector import Detector
    from faster_rcnn.detectors.finding import Found

DESCRIPTION = """\
Detects objects in pictures, videos and camera images; writes them with boxes, and result files.

Weights that were trained here are enough: their description has the net, the classes and the
settings. No display is needed."""
EXAMPLES = """\
  faster-rcnn detect output/faster_rcnn_end2end/cells_train/final.caffemodel my/pictures
  faster-rcnn detect detector.frcnn.zip holiday.jpg "pictures/**/*.png" clip.mp4 camera:0
  faster-rcnn detect detector.frcnn.zip pictures/ --subfolders --out found --save json,csv
  find pictures -name "*.jpg" | faster-rcnn detect detector.frcnn.zip -
"""
IMAGES = ("000456.jpg", "000542.jpg", "001150.jpg", "001763.jpg", "004545.jpg")
PICTURES = "pictures, folders, patterns in quotes, videos, camera:0; -: read their names from stdin"
SAVED = ("json", "csv", "coco", "yolo")
# The exit status when a picture could not be read, but the others were looked at
PASSED_OVER = 1


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for(DESCRIPTION, EXAMPLES, prog)
    parser.add_argument("caffemodel", metavar="DETECTOR",
                        help="weights (.caffemodel), a folder that holds them, or an archive")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help=PICTURES)
    add_options(parser)
    return options.parse(parser, words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb and the tool have in common."""
    parser.add_argument("--subfolders", action="store_true",
                        help="also look into the subfolders of the given folders")
    parser.add_argument("--net", dest="demo_net", default=None, metavar="NET",
                        help="for weights without a description: a net of models/pascal_voc "
                             "[VGG16]")
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE",
                        help="test net [that of the description, or of --net]")
    parser.add_argument("--boxes", action="store_true",
                        help="Fast R-CNN on given proposals: <picture>_boxes.mat beside each "
                             "picture has a matrix boxes, N x 4, in pixels from 0 [weights: "
                             "data/fast_rcnn_models/<net>_fast_rcnn_iter_40000.caffemodel]")
    parser.add_argument("--card", default=None, metavar="CARD",
                        help="data set card with the classes [those of the description, or VOC's]")
    parser.add_argument("--out", default=None, metavar="FOLDER",
                        help="where the results go [output/demo]")
    parser.add_argument("--save", type=values.words_of(SAVED), default=("json",), metavar="KINDS",
                        help=f"result files, separated by commas: {', '.join(SAVED)} [json]")
    parser.add_argument("--no-pictures", action="store_true",
                        help="do not write the pictures and videos with their boxes")
    parser.add_argument("--thresh", type=values.share, default=None, metavar="P",
                        help="smallest score that is shown, 0 to 1 [that of the description, or "
                             "0.8]")
    parser.add_argument("--nms", type=values.share, default=None, metavar="IOU",
                        help="a box is dropped if its overlap with a better one of its class is at "
                             "least this [that of the description, or 0.3]")
    parser.add_argument("--frames", type=values.count, default=0, metavar="N",
                        help="largest number of frames of each video or camera; 0: all [0]")
    options.add_allow_random(parser)
    options.add_common_args(parser)


def main(args: argparse.Namespace) -> int:
    """Runs this verb."""
    from faster_rcnn.commands import described, start
    from faster_rcnn.commands.described import Wanted
    from faster_rcnn.demo.runner import Demo, run_demo
    from faster_rcnn.demo.sources import find_sources
    from faster_rcnn.settings.config import cfg, cfg_override

    wanted = Wanted(args.demo_net, args.prototxt, args.card, args.boxes)
    with cfg_override():        # wrong options are refused, and the data's folder is a setting
        start.apply_settings(args, show=False)
        weights = args.caffemodel or wanted.named.weights
    if args.prototxt:
        start.find_net(args.prototxt, "net (--def)")
    folder = os.path.join(cfg.ROOT_DIR, "data", "demo")
    sources = find_sources(args.pictures or [os.path.join(folder, name) for name in IMAGES],
                           args.subfolders)
    with described.opened_weights(weights, "weights (--weights)",
                                  "; train a detector, or name its file") as found:
        detector = load_detector(args, wanted, found)
    out = args.out or os.path.join(cfg.ROOT_DIR, "output", "demo")
    demo = Demo(out, args.save, not args.no_pictures, args.frames, args.boxes)
    return PASSED_OVER if run_demo(detector, sources, demo) else 0


def load_detector(args: argparse.Namespace, wanted: "Wanted", found: "Found") -> "Detector":
    """The detector, as the command line and its description say."""
    from faster_rcnn.commands import described, start
    from faster_rcnn.detectors.detector import Detector

    settings = described.settings_of(found.description) or wanted.settings()
    start.apply_settings(args, show=False, described=settings)
    start.use_device(args.gpu_id)
    return Detector(found.weights, args.gpu_id, threshold=args.thresh, nms=args.nms,
                    description=described.describe_wanted(found, wanted),
                    allow_random=args.allow_random)
