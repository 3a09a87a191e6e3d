"""`faster-rcnn anchors DATA`, and tools/anchors.py: how well anchors cover objects; better ones."""
import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faster_rcnn.commands import options, values

if TYPE_CHECKING:
    import numpy as np

DESCRIPTION = "Measures how well anchors cover the objects of a data set, and proposes better ones."
EXAMPLES = """\
  faster-rcnn anchors my/pictures
  faster-rcnn anchors my/card.yml --scale 240 \\
      --def models/pascal_voc/Tiny/faster_rcnn_alt_opt/rpn_test.pt
"""
THRESHOLDS = (0.5, 0.7)
SIZES = {"small": "area < 32^2", "medium": "32^2 to 96^2", "large": "area > 96^2"}


def parse_args(prog: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of this verb."""
    parser = options.parser_for(DESCRIPTION, EXAMPLES, prog)
    options.add_data(parser)
    add_options(parser)
    options.add_common_args(parser)
    return options.parse(parser, words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb and the tool have in common."""
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE",
                        help="net whose anchors are measured [scales 8,16,32, ratios 0.5,1,2, "
                             "stride 16]; the settings ANCHOR_SCALES, ANCHOR_RATIOS and "
                             "ANCHOR_BASE replace them")
    parser.add_argument("--stride", type=values.positive(int), default=None, metavar="N",
                        help="pixels between the positions of anchors [that of the net, or 16]")
    parser.add_argument("--num_scales", type=values.positive(int), default=None, metavar="N",
                        help="number of scales to propose [as many as there are]")
    parser.add_argument("--num_ratios", type=values.positive(int), default=None, metavar="N",
                        help="number of ratios to propose [as many as there are]")
    parser.add_argument("--images", type=values.positive(int), default=2000, metavar="N",
                        help="measure at most N images [2000]")


def main(args: argparse.Namespace) -> None:
    """Runs this verb."""
    from faster_rcnn.anchors.coverage import propose_anchors, scaled_objects
    from faster_rcnn.commands import start
    from faster_rcnn.datasets.factory import get_imdb
    from faster_rcnn.program.data import Data
    from faster_rcnn.settings.config import cfg

    if "data" in args:
        args.imdb_name = Data.said(args).train
    start.apply_settings(args, show=False)
    params = present_anchors(args)
    imdb = get_imdb(args.imdb_name)
    objects = scaled_objects(imdb, cfg.TRAIN.SCALES, cfg.TRAIN.MAX_SIZE, args.images)
    scales, ratios = propose_anchors(objects, args.num_scales or len(params["scales"]),
                                     args.num_ratios or len(params["ratios"]), params["base_size"])
    print(f"{imdb.name}: {len(objects)} images with objects, scaled to {list(cfg.TRAIN.SCALES)}, "
          f"at most {cfg.TRAIN.MAX_SIZE}")
    print_coverage("Present anchors", params, objects, imdb.classes)
    proposed = dict(params, scales=scales, ratios=ratios)
    print_coverage("Proposed anchors", proposed, objects, imdb.classes)
    print(f'\n--set ANCHOR_SCALES "{list(scales)}" ANCHOR_RATIOS "{list(ratios)}"')


def present_anchors(args: argparse.Namespace) -> dict:
    """The arguments of AnchorGrid: feat_stride, scales, ratios, base_size."""
    from faster_rcnn.anchors.grid import BASE_SIZE
    from faster_rcnn.anchors.options import AnchorOptions

    params = {"feat_stride": 16, "scales": (8, 16, 32), "ratios": (0.5, 1, 2),
              "base_size": BASE_SIZE}
    if args.prototxt is not None:
        stated = stated_anchors(args.prototxt)
        params.update({name: stated[name] for name in params if name in stated})
    params.update(AnchorOptions.from_cfg().stated())
    return dict(params, feat_stride=args.stride or params["feat_stride"])


def stated_anchors(path: str) -> dict:
    """The parameters of the first layer with anchors in a net."""
    from caffe.core.errors import UserError
    from caffe.files import prototxt
    from faster_rcnn.anchors.options import AnchorOptions
    from faster_rcnn.commands import start
    from faster_rcnn.prototxts.anchor_layers import anchor_params
    from faster_rcnn.prototxts.changes import change_net
    from faster_rcnn.prototxts.options import NetOptions

    path = start.find_net(path, "net (--def)")
    name = path.rpartition("/")[2]
    net = change_net(prototxt.read_net(path), NetOptions(anchors=AnchorOptions.from_cfg()),
                     name).net
    stated = anchor_params(net, name)
    if not stated:
        raise UserError(f"{path} has no layer with anchors (feat_stride)")
    return stated[0]


def print_coverage(title: str, params: dict, objects: list[Any],
                   classes: Sequence[str]) -> None:
    """A table: how well the anchors of AnchorGrid(**params) cover objects, per class and size."""
    import numpy as np

    from faster_rcnn.anchors.coverage import best_overlaps
    from faster_rcnn.anchors.grid import AnchorGrid
    from faster_rcnn.evaluation.recall import AREA_RANGES

    overlaps = best_overlaps(objects, AnchorGrid(**params))
    labels = np.concatenate([image.classes for image in objects])
    areas = np.concatenate([image.areas for image in objects])
    print(f"\n{title}: scales {list(params['scales'])}, ratios {list(params['ratios'])}, base "
          f"{params['base_size']}, stride {params['feat_stride']}\n")
    print(f"{'best overlap of':24}{'objects':>9}{'mean':>7}"
          + "".join(f"{f'>= {threshold}':>9}" for threshold in THRESHOLDS))
    print_row("all", overlaps)
    for number, name in enumerate(classes[1:], 1):
        print_row(name, overlaps[labels == number])
    for name, words in SIZES.items():
        low, high = AREA_RANGES[name]
        print_row(f"{name} ({words})", overlaps[(areas >= low) & (areas < high)])
    counts, _ = np.histogram(overlaps, np.linspace(0, 1, 11))
    print("distribution, 0 to 1 in tenths: "
          + " ".join(f"{100 * count / len(overlaps):.0f}%" for count in counts))


def print_row(name: str, overlaps: "np.ndarray") -> None:
    """A line: number of objects, their mean best overlap, the shares above the thresholds."""
    if len(overlaps):
        print(f"{name:24}{len(overlaps):9d}{overlaps.mean():7.3f}"
              + "".join(f"{100 * (overlaps >= threshold).mean():8.1f}%"
                        for threshold in THRESHOLDS))
