#!/usr/bin/env python3
"""Detects objects in pictures; writes the pictures with boxes and a JSON file. Needs no display."""
import argparse
import os
from typing import Any

import _init_paths  # noqa: F401  (makes the imports below work)
import numpy as np

import caffe
from caffe.core.logs import Timer
from caffe.files import prototxt
from faster_rcnn.commands import options, start, tool, values
from faster_rcnn.datasets.cards import load_card
from faster_rcnn.datasets.proposal_files import as_boxes, matlab_boxes
from faster_rcnn.detection.detect import im_detect
from faster_rcnn.detection.options import Refinement
from faster_rcnn.detection.refinement import select_detections
from faster_rcnn.files.atomic import write_json
from faster_rcnn.images.naming import naming_image
from faster_rcnn.images.reading import read_image
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.reports.names import distinct_names
from faster_rcnn.reports.visualize import draw_detections, write_image
from faster_rcnn.settings.config import cfg

EXAMPLES = """\
  tools/demo.py --cpu --net zf
  tools/demo.py --gpu 0 --net vgg16 holiday.jpg pictures/ --out found
  tools/demo.py --cpu --net tiny --weights output/faster_rcnn_alt_opt/shapes_trainval/\\
Tiny_faster_rcnn_final.caffemodel data/shapes/JPEGImages --scale 192
"""

# name: folder of models/pascal_voc, card that names the classes
NETS = {"vgg16": ("VGG16", "voc_2007"), "zf": ("ZF", "voc_2007"),
        "vgg_cnn_m_1024": ("VGG_CNN_M_1024", "voc_2007"), "caffenet": ("CaffeNet", "voc_2007"),
        "squeezenet": ("SqueezeNet", "voc_2007"), "tiny": ("Tiny", "shapes"),
        "ResNet-50": ("ResNet-50", "voc_2007"), "ResNet-101": ("ResNet-101", "voc_2007")}
# ... and those that are R-FCN: start of the name of its weights
RFCN_PREFIXES = {"ResNet-50": "resnet50", "ResNet-101": "resnet101"}
IMAGES = ("000456.jpg", "000542.jpg", "001150.jpg", "001763.jpg", "004545.jpg")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def parse_args() -> argparse.Namespace:
    parser = options.parser_for(__doc__, EXAMPLES)
    parser.add_argument("images", nargs="*", metavar="PICTURE",
                        help="picture files or folders [five pictures of data/demo]")
    parser.add_argument("--net", dest="demo_net", choices=sorted(NETS), default="vgg16",
                        help="detector [vgg16]")
    parser.add_argument("--def", dest="prototxt", default=None, metavar="FILE",
                        help="test net [models/pascal_voc/<NET>/faster_rcnn_alt_opt/"
                             "faster_rcnn_test.pt, R-FCN: rfcn_end2end/test_agnostic.prototxt]")
    parser.add_argument("--weights", dest="caffemodel", default=None, metavar="FILE",
                        help="weights [data/faster_rcnn_models/<NET>_faster_rcnn_final.caffemodel, "
                             "R-FCN: data/rfcn_models/resnet101_rfcn_final.caffemodel]")
    parser.add_argument("--boxes", action="store_true",
                        help="Fast R-CNN, on proposals beside each picture: <picture>_boxes.mat, "
                             "a matrix boxes, N x 4, from 0 [weights: data/fast_rcnn_models/<net>_"
                             "fast_rcnn_iter_40000.caffemodel]")
    parser.add_argument("--card", default=None, metavar="CARD",
                        help="data set card that names the classes [that of the detector]")
    parser.add_argument("--out", default=None, metavar="FOLDER",
                        help="where the results go [output/demo]")
    parser.add_argument("--thresh", type=values.share, default=0.8, metavar="P",
                        help="least score that is shown [0.8]")
    parser.add_argument("--nms", type=values.share, default=0.3, metavar="IOU",
                        help="overlap above which the lower score of a class is dropped [0.3]")
    options.add_allow_random(parser)
    options.add_common_args(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg.TEST.HAS_RPN = not args.boxes   # most detectors make their own proposals
    cfg.TEST.AGNOSTIC = args.demo_net in RFCN_PREFIXES
    start.apply_settings(args, show=False)
    start.use_device(args.gpu_id)
    paths = picture_paths(args.images)
    net, classes = load_detector(args)
    if args.gpu_id != "cpu" and not args.boxes:
        warm_up(net)
    out = args.out or os.path.join(cfg.ROOT_DIR, "output", "demo")
    os.makedirs(out, exist_ok=True)
    found = []
    for path, name in zip(paths, distinct_names(paths)):
        print("~" * 35)
        print(f"Demo for {path}")
        im = read_image(path)
        proposals = read_boxes(path) if args.boxes else None
        with naming_image(path):
            dets = detect(net, im, proposals, classes, (args.thresh, args.nms))
        picture = os.path.join(out, name + "_detections.jpg")
        write_image(picture, draw_detections(im, dets, args.thresh, classes[1:]))
        print(f"Wrote {picture}")
        found.append(as_json(path, im, dets))
    write_json(os.path.join(out, "detections.json"), found)
    print(f"Wrote {os.path.join(out, 'detections.json')}")


def picture_paths(given: list[str]) -> list[str]:
    """The files named, and the pictures in the folders named; without any, the demo pictures."""
    demo = os.path.join(cfg.ROOT_DIR, "data", "demo")
    given = given or [os.path.join(demo, name) for name in IMAGES]
    paths = []
    for path in given:
        if os.path.isdir(path):
            inside = [os.path.join(path, name) for name in sorted(os.listdir(path))
                      if name.lower().endswith(PICTURES)]
            if not inside:
                raise FileNotFoundError(f"folder {path} holds no pictures ({', '.join(PICTURES)})")
            paths += inside
        else:
            start.require_file(path, "picture", "; name pictures or a folder on the command line")
            paths.append(path)
    return paths


def read_boxes(picture: str) -> np.ndarray:
    """The proposals (N, 4) in the .mat file beside a picture."""
    stem = os.path.splitext(picture)[0]
    path = stem + "_boxes.mat"
    start.require_file(path, "boxes", f"; --boxes needs proposals for {picture}")
    return as_boxes(matlab_boxes(path), path)


def usual_files(name: str, given_boxes: bool) -> tuple[str, str]:
    """Test net, in the folder of the net, and weights, in the folder of the data."""
    if given_boxes:
        return "fast_rcnn/test.prototxt", f"fast_rcnn_models/{name}_fast_rcnn_iter_40000.caffemodel"
    if name in RFCN_PREFIXES:
        return ("rfcn_end2end/test_agnostic.prototxt",
                f"rfcn_models/{RFCN_PREFIXES[name]}_rfcn_final.caffemodel")
    return ("faster_rcnn_alt_opt/faster_rcnn_test.pt",
            f"faster_rcnn_models/{NETS[name][0]}_faster_rcnn_final.caffemodel")


def load_detector(args: argparse.Namespace) -> tuple[caffe.Net, list[str]]:
    """(net, class names with the background first)."""
    folder, card = NETS[args.demo_net]
    usual = usual_files(args.demo_net, args.boxes)
    definition = args.prototxt or os.path.join(cfg.MODELS_DIR, folder, usual[0])
    weights = args.caffemodel or os.path.join(cfg.DATA_DIR, usual[1])
    classes = ["__background__", *load_card(args.card or card).classes]
    if len(classes) == 1:
        raise start.OptionError(f"{args.card}: the demo needs a card that lists the classes")
    definition = start.find_net(definition, "net (--def)")
    start.require_file(weights, "weights", "; train a detector, or name its file (--weights)")
    changed = change_net(prototxt.read_net(definition), NetOptions.from_cfg(len(classes)),
                         os.path.basename(definition))
    net = caffe.Net(changed.net, caffe.TEST, weights=weights)
    start.require_filled(net, weights, args.allow_random)
    print(f"\nLoaded network {weights}")
    return net, classes


def warm_up(net: caffe.Net) -> None:
    """The first passes of a GPU choose algorithms; they are not representative."""
    im = np.full((300, 500, 3), 128, np.uint8)
    for _ in range(2):
        im_detect(net, im)


def detect(net: caffe.Net, im: np.ndarray, proposals: np.ndarray | None, classes: list[str],
           threshs: tuple[float, float]) -> dict[str, np.ndarray]:
    """{class name: (N, 5) boxes with scores of at least `thresh`, after NMS per class}.

    proposals: (R, 4), or None for a net that makes its own; threshs: of scores and of NMS. All
    boxes take part in it, so that cfg.TEST.SOFT_NMS and BBOX_VOTE mean what they say.
    """
    thresh, nms_thresh = threshs
    timer = Timer()
    timer.tic()
    scores, boxes = im_detect(net, im, proposals)
    timer.toc()
    print(f"Detection took {timer.total_time:.3f}s for {boxes.shape[0]:d} object proposals")
    found = {}
    selected = select_detections(scores, boxes, -np.inf, nms_thresh, 0, Refinement.of(cfg.TEST))
    for name, dets in zip(classes[1:], selected[1:]):
        dets = dets[dets[:, 4] >= thresh]
        if len(dets):
            found[name] = dets
            print(f"  {len(dets)} x {name}, best score {dets[:, 4].max():.3f}")
    return found


def as_json(path: str, im: np.ndarray, dets: dict[str, np.ndarray]) -> dict[str, Any]:
    """Boxes are x1, y1, x2, y2 in pixels, both ends inclusive."""
    return {"image": path, "height": im.shape[0], "width": im.shape[1], "detections": [
        {"class": name, "score": round(float(det[4]), 4),
         "box": [round(float(value), 1) for value in det[:4]]}
        for name, rows in dets.items() for det in rows]}


if __name__ == "__main__":
    tool.run(main)
