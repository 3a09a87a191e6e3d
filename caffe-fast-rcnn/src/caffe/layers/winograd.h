// Winograd's convolution, 3 x 3 with stride 1: what one call computes, and how its work is cut.
#pragma once

#include <algorithm>
#include <cstdint>

#include "winograd_product.h"

namespace caffe_fast_rcnn::winograd {

// A map of pixels (n, y, x), each a run of channels.
struct Map {
  int64_t images, height, width, channels;
  int64_t image_stride, row_stride, pixel_stride;  // in numbers

  int64_t offset(int64_t n, int64_t y, int64_t x) const {
    return n * image_stride + y * row_stride + x * pixel_stride;
  }
};

inline int64_t rounded_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// to = weights * from + bias (+ residual), below 0 set to 0 where relu is asked for; Number: float,
// or Bfloat, to which the maps and the transformed factors are rounded, but no sum.
template <typename Number>
struct Convolution {
  Map from, to, residual_map;
  int64_t pad_h, pad_w;
  const Number* x;
  const Number* packed;    // (positions, panels, rows, kPanel, kDepth)
  const float* bias;       // as many as outputs, or null
  const Number* residual;  // laid out as residual_map, or null
  Number* y;
  bool relu;

  int64_t panels() const { return (to.channels + kPanel - 1) / kPanel; }
  int64_t rows() const { return rounded_up(from.channels, kDepth<Number>) / kDepth<Number>; }
};

// Where a thread keeps transformed inputs, (positions, input_tiles, channels rounded up to vectors),
// and the products of a few panels, (positions, tiles, panels * kPanel). A cache line between the
// positions keeps them out of each other's cache sets.
struct Block {
  int64_t channels, panels, positions, input_tiles, tiles;

  static constexpr int64_t kLine = 16;
  int64_t input_stride() const { return rounded_up(channels, kLanes); }
  int64_t input_plane() const { return input_tiles * input_stride() + kLine; }
  int64_t product_stride() const { return panels * kPanel; }
  int64_t product_plane() const { return tiles * product_stride() + kLine; }
  int64_t input_numbers() const { return positions * input_plane(); }
  int64_t product_floats() const { return positions * product_plane(); }
};

// Tiles first ... last - 1, counted along the rows of all images.
struct Range {
  int64_t first, last;
};

}  // namespace caffe_fast_rcnn::winograd
