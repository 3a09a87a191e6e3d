"""The graph that makes a net's input of a picture, as images/blob.py and OpenCV do."""
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from caffe.export.layers.graph import DOUBLE, FLOAT, INT64, Graph
from faster_rcnn.detection.options import TestOptions


class PreparedImage(NamedTuple):
    """Values of a graph, float32.

    data: (1, 3, H, W); im_info: (1, 3), height and width without padding, scale;
    size: (2,), height and width of the picture; scale: (1,)
    """

    data: str
    im_info: str
    size: str
    scale: str


class Ratios(NamedTuple):
    """Factors along height and width as ratios of whole numbers, int64 (2,) or (1,). Places of
    pixels are then exact, also in OpenVINO, which makes float32 of float64."""

    above: str
    below: str


def prepared_image(g: Graph, image: str, options: TestOptions) -> PreparedImage:
    """Subtracts the means of a picture (h, w, 3), uint8, BGR, scales it, pads it."""
    sides = g.op("Slice", g.op("Shape", image), g.integers([0]), g.integers([2]))
    ratio = _ratio(g, sides, options)
    scale = g.op("Div", g.cast(ratio.above, DOUBLE), g.cast(ratio.below, DOUBLE))
    wanted = g.cast(g.op("Round", g.op("Mul", g.cast(sides, DOUBLE), scale)), INT64)
    one = g.integers([1])
    scaled_sides = g.op("Max", wanted, one)
    # a side that would vanish: OpenCV is given sizes instead of the factor
    vanishes = g.op("Less", g.reduce("ReduceMin", wanted, [0]), one)
    ratios = Ratios(g.op("Where", vanishes, scaled_sides, ratio.above),
                    g.op("Where", vanishes, sides, ratio.below))
    centred = g.op("Sub", g.cast(image, FLOAT), g.constant(options.pixel_means))
    scaled = resized(g, centred, sides, scaled_sides, ratios)
    data = g.op("Unsqueeze", g.op("Transpose", scaled, perm=(2, 0, 1)), g.integers([0]))
    factor = g.cast(scale, FLOAT)
    im_info = g.op("Concat", g.cast(scaled_sides, FLOAT), factor, axis=0)
    return PreparedImage(_padded(g, data, options.multiple_of), g.reshape(im_info, (1, 3)),
                         g.cast(sides, FLOAT), factor)


def _ratio(g: Graph, sides: str, options: TestOptions) -> Ratios:
    """The factor (1,): the shorter side as wished, the longer one not too long."""
    wished, limit = (Fraction(float(value)).limit_denominator(1000)
                     for value in (options.scales[0], options.max_size))
    common = math.lcm(wished.denominator, limit.denominator)
    shorter, longer = (g.reduce(kind, sides, [0]) for kind in ("ReduceMin", "ReduceMax"))
    exact = [g.constant([float(value)], dtype=np.float64) for value in (wished, limit)]
    scale = g.op("Div", exact[0], g.cast(shorter, DOUBLE))
    too_long = g.op("Greater", g.op("Round", g.op("Mul", scale, g.cast(longer, DOUBLE))), exact[1])
    above = g.op("Where", too_long, *(g.integers([int(value * common)])
                                      for value in (limit, wished)))
    below = g.op("Where", too_long, longer, shorter)
    return Ratios(above, g.op("Mul", below, g.integers([common])))


def resized(g: Graph, image: str, sides: str, scaled_sides: str, ratios: Ratios) -> str:
    """An image (h, w, C) float32 at another size, as cv2.resize does with INTER_LINEAR.

    sides, scaled_sides: int64 (2,), height and width. ONNX's Resize takes a factor whose product
    with the size is rounded down; OpenCV rounds to the nearest.
    """
    for axis in (0, 1):
        here = [g.integers([axis]), g.integers([axis + 1])]
        length, wanted = (g.op("Slice", value, *here) for value in (sides, scaled_sides))
        own = Ratios(*(g.op("Slice", g.op("Expand", value, g.integers([2])), *here)
                       for value in ratios))
        image = _interpolated(g, image, axis, (length, wanted), own)
    return image


def _interpolated(g: Graph, image: str, axis: int, lengths: tuple[str, str], ratio: Ratios) -> str:
    """The image with other rows (axis 0) or columns (1). lengths: before and after.

    The centre of pixel p lies at (p + 1/2) / factor - 1/2 of the image.
    """
    length, wanted = lengths
    one, two = g.integers([1]), g.integers([2])
    pixels = g.op("Range", g.integers(0), g.op("Squeeze", wanted, g.integers([0])), g.integers(1))
    odd = g.op("Add", g.op("Mul", pixels, two), one)
    place = g.op("Sub", g.op("Mul", odd, ratio.below), ratio.above)
    place, unit = g.op("Max", place, g.integers([0])), g.op("Mul", ratio.above, two)
    cell = g.op("Div", place, unit)
    rest = g.op("Sub", place, g.op("Mul", cell, unit))
    share = g.op("Div", g.cast(rest, FLOAT), g.cast(unit, FLOAT))
    share = g.reshape(share, (-1, 1, 1) if axis == 0 else (1, -1, 1))
    last = g.op("Sub", length, one)
    first, second = (g.op("Min", index, last) for index in (cell, g.op("Add", cell, one)))
    lower, upper = (g.op("Gather", image, index, axis=axis) for index in (first, second))
    return g.op("Add", g.op("Mul", lower, g.op("Sub", g.number(1), share)),
                g.op("Mul", upper, share))


def _padded(g: Graph, data: str, multiple_of: int) -> str:
    """Zeros right and below up to multiples of a number."""
    if multiple_of == 1:
        return data
    step = g.integers([multiple_of])
    sides = g.op("Slice", g.op("Shape", data), g.integers([2]), g.integers([4]))
    missing = g.op("Mod", g.op("Sub", step, g.op("Mod", sides, step)), step)
    return g.op("Pad", data, g.op("Concat", g.integers([0] * 6), missing, axis=0), g.number(0))
