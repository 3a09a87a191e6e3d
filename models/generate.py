#!/usr/bin/env python
"""Writes the prototxts under models/ from the descriptions in lib/faster_rcnn/networks.

    models/generate.py            writes the files of the repository that are missing or out of date
    models/generate.py --check    only lists these files; exit status 1 if there are any
    models/generate.py --all      also writes the nets that tools otherwise write on first use

To write the nets of a folder for another data set, or with other anchors, to a folder of yours:

    models/generate.py --to my/models --classes 4 --scales 4,8,16 pascal_voc/ZF/faster_rcnn_end2end
"""
import argparse
import os
import sys

MODELS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(MODELS)
sys.path[:0] = [os.path.join(ROOT, "caffe-fast-rcnn", "python"), os.path.join(ROOT, "lib")]

from faster_rcnn.anchors.options import AnchorOptions  # noqa: E402
from faster_rcnn.networks.catalogue import folders, text_of  # noqa: E402  (needs the path above)
from faster_rcnn.networks.repository import Link, make_link, out_of_date  # noqa: E402
from faster_rcnn.networks.store import write_at  # noqa: E402


def numbers(text: str) -> tuple[float, ...]:
    """The type of --scales and --ratios: positive numbers, separated by commas."""
    values = tuple(float(part) if "." in part else int(part) for part in text.split(","))
    if min(values) <= 0:
        raise ValueError(text)
    return values


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="folders of models/ [all]")
    parser.add_argument("--check", action="store_true",
                        help="change nothing, list the files that are out of date")
    parser.add_argument("--all", action="store_true",
                        help="also the nets that tools write on first use")
    parser.add_argument("--to", metavar="DIR", help="write FOLDERs to DIR/FOLDER instead")
    parser.add_argument("--classes", type=int, metavar="K",
                        help="number of classes, with the background")
    parser.add_argument("--scales", type=numbers, default=(), metavar="A,B,...",
                        help="scales of the anchors")
    parser.add_argument("--ratios", type=numbers, default=(), metavar="A,B,...",
                        help="ratios of the anchors, height / width")
    parser.add_argument("--base", type=int, default=0, metavar="PIXELS",
                        help="side of an anchor with scale 1")
    args = parser.parse_args(argv)
    unknown = sorted(set(args.folders) - set(folders()))
    if unknown:
        parser.error(f"no folder {unknown[0]}; folders are {', '.join(folders())}")
    if bool(args.to) != bool(args.folders):
        parser.error("--to DIR and FOLDERs go together")
    if not args.to and (args.classes or args.scales or args.ratios or args.base):
        parser.error("nets for other classes or anchors need --to DIR and FOLDERs")
    return args


def write_for_other_data(args: argparse.Namespace) -> None:
    """The folders that the command line names, for its class count and anchors."""
    anchors = AnchorOptions(args.scales, args.ratios, args.base)
    for name in args.folders:
        for file, make in folders()[name].files(args.classes, anchors).items():
            write_at(os.path.join(args.to, name, file), text_of(make()))
        print(f"wrote {os.path.join(args.to, name)}")


def update(models: str, check: bool) -> int:
    """Writes, or lists, what the repository should hold and does not; returns how many."""
    stale = list(out_of_date(models))
    for path, wanted in stale:
        if check:
            print(f"out of date: models/{path} (run models/generate.py)")
            continue
        if isinstance(wanted, Link):
            make_link(os.path.join(models, path), wanted)
        else:
            write_at(os.path.join(models, path), wanted)
        print(f"wrote models/{path}")
    return len(stale)


def write_others(models: str) -> None:
    """The folders that are not in the repository."""
    for name, folder in folders().items():
        if not folder.committed:
            for file, make in folder.files().items():
                write_at(os.path.join(models, name, file), text_of(make()))
            print(f"wrote models/{name}")


def main() -> int:
    args = parse_args()
    if args.to:
        write_for_other_data(args)
        return 0
    count = update(MODELS, args.check)
    if args.all and not args.check:
        write_others(MODELS)
    return 1 if args.check and count else 0


if __name__ == "__main__":
    sys.exit(main())
