"""rpn.generate_anchors and rpn.anchors."""
import numpy as np
import torch

from faster_rcnn.anchors.grid import AnchorGrid, map_to_rows, rows_to_map
from rpn.generate_anchors import generate_anchors

# the listing of the original's MATLAB version, whose first pixel is (1, 1)
MATLAB = np.array([
    [-83, -39, 100, 56], [-175, -87, 192, 104], [-359, -183, 376, 200],
    [-55, -55, 72, 72], [-119, -119, 136, 136], [-247, -247, 264, 264],
    [-35, -79, 52, 96], [-79, -167, 96, 184], [-167, -343, 184, 360]])


def test_the_nine_anchors():
    assert generate_anchors().tolist() == (MATLAB - 1).tolist()


def test_halves_are_rounded_to_the_even_neighbour():
    # base 15, ratio .5: width round(sqrt(450)) = 21, height round(10.5) = 10
    anchor, = generate_anchors(15, [0.5], [1])
    assert anchor.tolist() == [7 - 10, 7 - 4.5, 7 + 10, 7 + 4.5]


def test_ratio_is_the_slow_index_and_sizes_scale():
    anchors = generate_anchors(16, [1, 2], [1, 4, 2])
    widths = anchors[:, 2] - anchors[:, 0] + 1
    heights = anchors[:, 3] - anchors[:, 1] + 1
    assert widths.tolist() == [16, 64, 32, 11, 44, 22]
    assert heights.tolist() == [16, 64, 32, 22, 88, 44]


def test_grid_shifts_the_anchors_by_whole_cells_row_by_row():
    grid = AnchorGrid(feat_stride=8, scales=(2, 4), ratios=(1,))
    anchors = grid(2, 3, "cpu")
    assert anchors.shape == (2 * 3 * 2, 4) and grid.num_anchors == 2
    y, x, a = 1, 2, 1
    expected = grid.base_anchors[a] + torch.tensor([8 * x, 8 * y, 8 * x, 8 * y])
    assert torch.equal(anchors[(y * 3 + x) * 2 + a], expected)
    assert grid(2, 3, "cpu") is anchors     # made once


def test_rows_and_maps_are_inverse():
    rows = torch.arange(2 * 3 * 4 * 5.0).view(-1, 5)        # 2 x 3 cells, 4 anchors, 5 values
    blob = rows_to_map(rows, 2, 3)
    assert blob.shape == (1, 20, 2, 3)
    assert blob[0, 2 * 5 + 3, 1, 2] == rows[(1 * 3 + 2) * 4 + 2, 3]
    assert torch.equal(map_to_rows(blob, 5), rows)
