"""The options of classify.py and detect.py: the net, and the preprocessing of images."""
import argparse
import os
from typing import Any

import numpy as np

from caffe.core import state
from caffe.core.errors import CaffeError
from caffe.core.regular_files import check_regular
from caffe.core.types import FilePath
from caffe.files.weights import read_binaryproto

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_MODEL = os.path.join(_ROOT, "..", "models", "bvlc_reference_caffenet")


def add_net_args(parser: argparse.ArgumentParser, model: str) -> None:
    """--model_def, --pretrained_model, --gpu and the preprocessing; model: the prototxt's name."""
    parser.add_argument("--model_def", default=os.path.join(_MODEL, model), help="net prototxt")
    parser.add_argument("--pretrained_model", help="trained weights",
                        default=os.path.join(_MODEL, "bvlc_reference_caffenet.caffemodel"))
    parser.add_argument("--gpu", action="store_true", help="compute on the GPU")
    parser.add_argument("--mean_file", help=".npy or .binaryproto of the mean (C, H, W) or (C,) "
                        "to subtract; '' for none",
                        default=os.path.join(_ROOT, "caffe", "imagenet", "ilsvrc_2012_mean.npy"))
    parser.add_argument("--input_scale", type=float,
                        help="multiplies input features by this after the mean is subtracted")
    parser.add_argument("--raw_scale", type=float, default=255.0,
                        help="multiplies raw input (0 to 1) by this before preprocessing [255]")
    parser.add_argument("--channel_swap", type=whole_numbers, default=[2, 1, 0],
                        help="order of the channels; '2,1,0' turns RGB into BGR [2,1,0]")


def preprocessing(args: argparse.Namespace) -> dict[str, Any]:
    """Sets the mode; returns the keyword arguments of Classifier and Detector."""
    if args.gpu:
        state.set_mode_gpu()
    return {"mean": read_mean(args.mean_file), "input_scale": args.input_scale,
            "raw_scale": args.raw_scale, "channel_swap": args.channel_swap or None}


def whole_numbers(text: str) -> list[int]:
    """The type of options such as 256,256; nothing for an empty text."""
    words = text.split(",") if text else []
    if not all(word.strip().isdigit() for word in words):
        raise argparse.ArgumentTypeError(f'"{text}" is not whole numbers, separated by commas')
    return [int(word) for word in words]


def read_array(path: FilePath) -> np.ndarray:
    """The array in a .npy file. Raises CaffeError."""
    try:
        check_regular(path)
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise CaffeError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise CaffeError(f"{path}: is not a .npy file of numbers: {error}") from None


def read_mean(path: str) -> np.ndarray | None:
    """The mean in a .npy or .binaryproto file, (C, H, W) or (C,); None for an empty path."""
    if not path:
        return None
    if not os.path.lexists(path):
        raise CaffeError(f"the mean file {path} does not exist; give --mean_file, or "
                         "--mean_file '' to subtract none")
    mean = read_binaryproto(path) if path.endswith(".binaryproto") else read_array(path)
    return mean[0] if mean.ndim == 4 else mean
