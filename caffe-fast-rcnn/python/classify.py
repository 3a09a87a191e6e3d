#!/usr/bin/env python3
"""Classifies images with an ImageNet model or another one (Caffe: python/classify.py).

By default it averages the predictions of ten crops: the corners and the center, and their mirrors.
"""
import argparse
import glob
import io
import os
import sys
import time

import numpy as np

import caffe
from caffe.files.atomic import write_bytes
from caffe.tools.command import status_of
from caffe.tools.preprocessing import add_net_args, preprocessing, read_array, whole_numbers


def classify(args: argparse.Namespace) -> None:
    """Writes the (N, classes) predictions of the images to args.output_file."""
    options = preprocessing(args)
    print("GPU mode" if args.gpu else "CPU mode")
    classifier = caffe.Classifier(args.model_def, args.pretrained_model,
                                  image_dims=args.images_dim or None, **options)
    images = read_images(args.input_file, args.ext)
    print(f"Classifying {len(images)} inputs.")
    start = time.time()
    predictions = classifier.predict(images, not args.center_only)
    print(f"Done in {time.time() - start:.2f} s.")
    print(f"Saving results into {args.output_file}")
    content = io.BytesIO()
    np.save(content, predictions)
    write_bytes(args.output_file, content.getvalue())


def read_images(path: str, extension: str) -> list[np.ndarray]:
    """Images (H, W, 3) from 0 to 1, RGB: of a .npy file, a folder or one file."""
    path = os.path.expanduser(path)
    if path.endswith("npy"):
        print(f"Loading file: {path}")
        return list(read_array(path))
    if not os.path.isdir(path):
        print(f"Loading file: {path}")
        return [caffe.io.load_image(path)]
    print(f"Loading folder: {path}")
    names = sorted(glob.glob(os.path.join(glob.escape(path), f"*.{extension}")))
    if not names:
        raise caffe.CaffeError(f"{path}: holds no .{extension} files; --ext says which to take")
    return [caffe.io.load_image(name) for name in names]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input_file", help="image, folder of images, or .npy (N, H, W, 3)")
    parser.add_argument("output_file", help=".npy to write")
    add_net_args(parser, "deploy.prototxt")
    parser.add_argument("--center_only", action="store_true",
                        help="predict from the center crop alone")
    parser.add_argument("--images_dim", type=whole_numbers, default=[256, 256],
                        help="height,width that images are resized to [256,256]")
    parser.add_argument("--ext", default="jpg", help="which files of a folder to take [jpg]")
    return status_of(classify, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
