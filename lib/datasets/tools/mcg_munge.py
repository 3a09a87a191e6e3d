#!/usr/bin/env python
"""Puts downloaded MCG boxes into the folders that coco_proposals/MCG/mat is made of.

The archives of MCG hold one .mat file per image side by side. From the folder src_dir they are
moved to MCG/mat/<first 14 letters>/<first 22 letters>/ below the present folder:

    cd data/coco_proposals
    ../../lib/datasets/tools/mcg_munge.py MCG-COCO-val2014-boxes
"""
import argparse
import os
import sys


def munge(src_dir: str) -> None:
    """Moves the .mat files of a folder; nothing is overwritten."""
    names = sorted(name for name in os.listdir(src_dir) if name.endswith(".mat"))
    if not names:
        raise FileNotFoundError(f"no .mat file is in {src_dir}")
    for name in names:
        stem = os.path.splitext(name)[0]
        folder = os.path.join("MCG", "mat", stem[:14], stem[:22])
        source, target = os.path.join(src_dir, name), os.path.join(folder, name)
        if os.path.exists(target):
            raise FileExistsError(f"{target} exists; {source} is left where it is")
        os.makedirs(folder, exist_ok=True)
        print(f"MV: {source} -> {target}")
        os.rename(source, target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("src_dir", help="folder that holds the .mat files")
    if len(sys.argv) == 1:
        parser.print_help()
        return 1
    try:
        munge(parser.parse_args().src_dir)
    except OSError as error:
        print(f"mcg_munge.py: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
