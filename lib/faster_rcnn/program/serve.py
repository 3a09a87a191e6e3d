"""`faster-rcnn serve DETECTOR`: a page on this machine that looks at pictures and videos."""
import argparse
import os
from collections.abc import Sequence

from faster_rcnn.commands import options, values

EXAMPLES = """\
  faster-rcnn serve output/faster_rcnn_end2end/cells_train/final.caffemodel
  faster-rcnn serve detector.frcnn.zip --port 0 --thresh 0.5
"""


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for("Serves a web page that finds objects in pictures and videos.",
                                EXAMPLES, prog)
    parser.add_argument("caffemodel", metavar="DETECTOR",
                        help="weights (.caffemodel) with a description, a folder that holds them, "
                             "or an archive")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen at; with any other than 127.0.0.1 everybody who "
                             "can reach this machine can use the page [127.0.0.1]")
    parser.add_argument("--port", type=values.count, default=8000, metavar="N",
                        help="port; 0: any free one [8000]")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                        help="another name of this machine that browsers may use in the address")
    parser.add_argument("--thresh", type=values.share, default=None, metavar="P",
                        help="smallest score that is shown, 0 to 1 [that of the description]")
    options.add_allow_random(parser)
    options.add_device_args(parser)
    return options.parse(parser, words)


def main(args: argparse.Namespace) -> None:
    """Runs this verb."""
    from faster_rcnn.commands import packages, start

    packages.require("werkzeug", "jinja2")
    from faster_rcnn.detectors.detector import Detector
    from faster_rcnn.serving.app import LEAST_SCORE
    from faster_rcnn.serving.server import serve_detector

    start.use_device(args.gpu_id)
    detector = Detector(args.caffemodel, args.gpu_id, args.precision, threshold=LEAST_SCORE,
                        allow_random=args.allow_random)
    score = detector.description.threshold if args.thresh is None else args.thresh
    title = os.path.splitext(os.path.basename(os.path.normpath(args.caffemodel)))[0]
    serve_detector(detector, title, args.host, args.port, names=args.allow_host, score=score)
