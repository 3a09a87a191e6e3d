"""`faster-rcnn test DETECTOR [DATA]`, and tools/test_net.py: a detector is tested on a data set."""
import argparse
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faster_rcnn.commands import options, values

if TYPE_CHECKING:
    from faster_rcnn.detectors.finding import Found

DESCRIPTION = """\
Tests a detector on a data set: detections, average precision, a report with pictures.

Net, data set and settings are those of the description beside the weights, unless the command line
names others."""
EXAMPLES = """\
  faster-rcnn test output/faster_rcnn_end2end/cells_train/final.caffemodel
  faster-rcnn test detector.frcnn.zip my/other_pictures --vis
"""
# Detections score above these: a probability, or with TEST.SVM a distance in margins, for which the
# original's 0.05 would cost recall
PROBABILITY_THRESH, SVM_THRESH = 0.05, -1.0


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for(DESCRIPTION, EXAMPLES, prog)
    parser.add_argument("caffemodel", metavar="DETECTOR",
                        help="weights (.caffemodel), a folder that holds them, or an archive")
    parser.add_argument("data", metavar="DATA", nargs="?", default=None,
                        help="a folder of annotated pictures, or a card: its test set is used "
                             "[the data set in the detector's description]")
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE",
                        help="test net (prototxt) [that of the description]")
    options.add_allow_random(parser)
    add_options(parser)
    options.add_common_args(parser)
    parser.set_defaults(imdb_name=None, wait=False)
    return options.parse(parser, words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb and the tool have in common."""
    parser.add_argument("--comp", dest="comp_mode", action="store_true",
                        help="competition mode: keep the result files")
    parser.add_argument("--vis", action="store_true",
                        help="write a picture of every image with its detections")
    parser.add_argument("--num_dets", dest="max_per_image", default=100, type=values.count,
                        metavar="N",
                        help="largest number of detections per image, over all classes; 0: all "
                             "[100]")
    parser.add_argument("--det_thresh", default=None, type=values.number, metavar="P",
                        help="only detections with a larger score count [0.05; with TEST.SVM -1]")
    parser.add_argument("--rpn_file", "--rpn-file", default=None, metavar="FILE",
                        help="proposals (tools/rpn_generate.py) for a net without an RPN [those of "
                             "TEST.PROPOSAL_METHOD]")


def main(args: argparse.Namespace) -> None:
    """Runs this verb."""
    from faster_rcnn.commands import described, packages, start
    from faster_rcnn.program.data import Data

    packages.require(*packages.REPORT)
    if getattr(args, "data", None) is not None:
        data = Data.said(args)
        args.imdb_name = data.imdb_name(data.card.test)
    start.check_options(args)
    with described.opened_weights(args.caffemodel, "weights (--net)", wait=args.wait) as found:
        test(args, found)


def test(args: argparse.Namespace, found: "Found") -> None:
    """Tests the weights that were found."""
    from faster_rcnn.commands import described, start
    from faster_rcnn.commands.report_facts import facts_of_test
    from faster_rcnn.datasets.factory import get_imdb
    from faster_rcnn.detection.detect import test_net
    from faster_rcnn.detection.filled import require_filled
    from faster_rcnn.files import safe_pickle
    from faster_rcnn.prototxts.adapt import adapted_test_net
    from faster_rcnn.reports.test_report import write_report
    from faster_rcnn.settings.config import cfg, get_output_dir

    description = found.description
    start.apply_settings(args, described=described.settings_of(description))
    start.use_device(args.gpu_id)
    if args.prototxt or description is None:
        args.prototxt = start.find_net(args.prototxt, "net (--def)")
    if description is None:
        start.use_means_of(args.prototxt)
    imdb = get_imdb(args.imdb_name or described.test_imdb(description) or "voc_2007_test", "test")
    imdb.competition_mode(args.comp_mode)
    set_proposals(imdb, args.rpn_file)
    if description is not None:
        described.check_classes(description, imdb, found.weights)
        args.prototxt = args.prototxt or described.net_file(description, found.weights, imdb)

    net = adapted_test_net(args.prototxt, found.weights, imdb)
    require_filled(net, found.weights, args.allow_random)
    thresh = args.det_thresh
    if thresh is None:
        thresh = SVM_THRESH if cfg.TEST.SVM else PROBABILITY_THRESH
    begin = time.perf_counter()
    metrics = test_net(net, imdb, max_per_image=args.max_per_image, vis=args.vis, thresh=thresh,
                       shared=True)
    output_dir = get_output_dir(imdb, net)
    detections = os.path.join(output_dir, "detections.pkl")
    print(f"Wrote detections to: {detections}")
    if metrics is None:
        return
    facts = facts_of_test(net, args.prototxt, found.weights, time.perf_counter() - begin,
                          imdb.num_images)
    all_boxes: Any = safe_pickle.load(detections)
    report = write_report(imdb, all_boxes, metrics, output_dir, facts)
    print(f"Report: {report}")
    print(f"Page: {os.path.splitext(report)[0]}.html")
    tested = os.path.join(output_dir, os.path.basename(args.prototxt))
    described.record_test(found, imdb, metrics, tested)


def set_proposals(imdb: Any, rpn_file: str | None) -> None:
    """Sets where the rois of a net without an RPN come from."""
    from faster_rcnn.commands.start import OptionError
    from faster_rcnn.settings.config import cfg

    if not cfg.TEST.HAS_RPN:
        method = cfg.TEST.PROPOSAL_METHOD if rpn_file is None else "rpn"
        imdb.set_proposal_method(method, rpn_file or cfg.TEST.PROPOSAL_FILE)
    elif rpn_file is not None:
        raise OptionError("--rpn_file is for nets without an RPN, but TEST.HAS_RPN is True (--cfg, "
                          "--set)")
