// The arithmetic that the CPU and the CUDA kernels share, so that it is written once:
// where a region of interest lies on a feature map, how far two boxes overlap, the smooth L1
// function, and the momentum update (ROIAlign's samples: roi_align.h). No PyTorch here: nvcc
// compiles it without PyTorch's headers.
#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define CAFFE_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define CAFFE_HOST_DEVICE inline
#endif

namespace caffe_fast_rcnn {

template <typename T>
CAFFE_HOST_DEVICE T smaller(T a, T b) {
  return b < a ? b : a;
}

template <typename T>
CAFFE_HOST_DEVICE T larger(T a, T b) {
  return a < b ? b : a;
}

// The least finite number: where the search for a maximum starts.
template <typename T>
CAFFE_HOST_DEVICE T lowest() {
  return -static_cast<T>(sizeof(T) == sizeof(float) ? FLT_MAX : DBL_MAX);
}

// The sizes that an operator over regions of interest works on.
struct RegionShape {
  int64_t rois, images, channels, height, width, pooled_h, pooled_w;
  CAFFE_HOST_DEVICE int64_t bins() const { return pooled_h * pooled_w; }
  CAFFE_HOST_DEVICE int64_t cells() const { return height * width; }
};

// Cells begin, ..., end - 1 of one side of a feature map.
struct Span {
  int begin, end;
};

// A whole number as an int: far beyond any map at most, and far enough from the limits of int that
// sums of two stay inside.
template <typename T>
CAFFE_HOST_DEVICE int to_cell(T number) {
  const T limit = static_cast<T>(1 << 24);
  return static_cast<int>(smaller(larger(-limit, number), limit));
}

// One side of a region of interest on the feature map: its first and last cell and the length of a
// bin. Caffe (roi_pooling_layer): both corners are multiplied by the scale and rounded half away
// from zero, both belong to the region, and a malformed region (it ends before it starts) is pooled
// as if it were one cell long.
template <typename T>
struct RoiSide {
  int start, last;
  T bin;

  CAFFE_HOST_DEVICE RoiSide(T first_corner, T last_corner, T scale, int bins) {
    start = to_cell(round(first_corner * scale));
    last = to_cell(round(last_corner * scale));
    bin = static_cast<T>(larger(last - start + 1, 1)) / static_cast<T>(bins);
  }

  // The cells of bin number `index`, cut off at the borders of a map `size` cells long.
  CAFFE_HOST_DEVICE Span cells(int index, int size) const {
    const int begin = static_cast<int>(floor(static_cast<T>(index) * bin)) + start;
    const int end = static_cast<int>(ceil(static_cast<T>(index + 1) * bin)) + start;
    return {smaller(larger(begin, 0), size), smaller(larger(end, 0), size)};
  }

  // Caffe passes gradients only to cells between the corners: to none of a malformed region, nor
  // to the cell beyond the last that rounding adds to the last bin of a few lengths.
  CAFFE_HOST_DEVICE bool contains(int cell) const { return start <= cell && cell <= last; }

  // Whether all the cells of all bins are between the corners.
  CAFFE_HOST_DEVICE bool contains_bins(int bins) const {
    const int end = static_cast<int>(ceil(static_cast<T>(bins) * bin)) + start;
    return start <= last && end <= last + 1;
  }

  // The bins that may contain a cell between the corners.
  CAFFE_HOST_DEVICE Span bins_over(int cell, int bins) const {
    const T distance = static_cast<T>(cell - start);
    return {smaller(larger(static_cast<int>(floor(distance / bin)), 0), bins),
            smaller(larger(static_cast<int>(ceil((distance + T(1)) / bin)), 0), bins)};
  }
};

// A region of interest: five numbers (batch index, x1, y1, x2, y2) in image pixels.
template <typename T>
struct Roi {
  RoiSide<T> x, y;

  CAFFE_HOST_DEVICE Roi(const T* numbers, T scale, int pooled_h, int pooled_w)
      : x(numbers[1], numbers[3], scale, pooled_w), y(numbers[2], numbers[4], scale, pooled_h) {}

  // Whether a gradient reaches the cell (row h, column w).
  CAFFE_HOST_DEVICE bool contains(int h, int w) const { return y.contains(h) && x.contains(w); }
};

// One side of a region under position-sensitive pooling, in cells and fractions of them.
// R-FCN (psroi_pooling_layer): whole pixels are multiplied by the scale, the last one belongs to
// the region, and a region is a tenth of a cell long at least.
template <typename T>
struct PositionSensitiveSide {
  T start, bin;

  CAFFE_HOST_DEVICE PositionSensitiveSide(T first, T last, T scale, int bins) {
    start = static_cast<T>(round(first)) * scale;
    const T end = (static_cast<T>(round(last)) + T(1)) * scale;
    bin = larger(T(0.1), end - start) / static_cast<T>(bins);
  }

  // The cells that bin number `index` touches, cut off at the borders of a map `size` cells long.
  CAFFE_HOST_DEVICE Span cells(int index, int size) const {
    const int begin = to_cell(floor(static_cast<T>(index) * bin + start));
    const int end = to_cell(ceil(static_cast<T>(index + 1) * bin + start));
    return {smaller(larger(begin, 0), size), smaller(larger(end, 0), size)};
  }
};

// The cells of one of the group x group bins of a region.
template <typename T>
struct PositionSensitiveBin {
  Span rows, columns;

  CAFFE_HOST_DEVICE PositionSensitiveBin(const T* numbers, T scale, int64_t bin,
                                         const RegionShape& s)
      : rows(PositionSensitiveSide<T>(numbers[2], numbers[4], scale, static_cast<int>(s.pooled_h))
                 .cells(static_cast<int>(bin / s.pooled_w), static_cast<int>(s.height))),
        columns(
            PositionSensitiveSide<T>(numbers[1], numbers[3], scale, static_cast<int>(s.pooled_w))
                .cells(static_cast<int>(bin % s.pooled_w), static_cast<int>(s.width))) {}

  CAFFE_HOST_DEVICE bool is_empty() const {
    return rows.end <= rows.begin || columns.end <= columns.begin;
  }
  CAFFE_HOST_DEVICE bool contains(int64_t h, int64_t w) const {
    return rows.begin <= h && h < rows.end && columns.begin <= w && w < columns.end;
  }
  CAFFE_HOST_DEVICE T area() const {
    return static_cast<T>(rows.end - rows.begin) * static_cast<T>(columns.end - columns.begin);
  }
};

// Whether a region has finite numbers and the index of an image. The CPU refuses others by name;
// CUDA, where asking would wait for the GPU, marks them.
template <typename T>
CAFFE_HOST_DEVICE bool is_sound_region(const T* numbers, int64_t images) {
  bool sound = numbers[0] >= T(0) && numbers[0] < static_cast<T>(images);
  for (int i = 1; i < 5; ++i) sound = sound && isfinite(numbers[i]);
  return sound;
}

// A box with inclusive corners in pixels: its width is x2 - x1 + 1.
struct Box {
  float x1, y1, x2, y2;
};

CAFFE_HOST_DEVICE float box_area(const Box& box) {
  return (box.x2 - box.x1 + 1.0f) * (box.y2 - box.y1 + 1.0f);
}

// Intersection over union. py-faster-rcnn (nms/cpu_nms.pyx): every operation in float32.
CAFFE_HOST_DEVICE float overlap(const Box& a, float area_a, const Box& b, float area_b) {
  const float width = larger(0.0f, smaller(a.x2, b.x2) - larger(a.x1, b.x1) + 1.0f);
  const float height = larger(0.0f, smaller(a.y2, b.y2) - larger(a.y1, b.y1) + 1.0f);
  const float common = width * height;
  return common / (area_a + area_b - common);
}

// Fast R-CNN (smooth_l1_loss_layer): 0.5 (sigma x)^2 where |x| < 1 / sigma^2, else
// |x| - 0.5 / sigma^2.
template <typename T>
CAFFE_HOST_DEVICE T smooth_l1(T x, T sigma2) {
  const T size = x < T(0) ? -x : x;
  return size < T(1) / sigma2 ? T(0.5) * x * x * sigma2 : size - T(0.5) / sigma2;
}

template <typename T>
CAFFE_HOST_DEVICE T smooth_l1_slope(T x, T sigma2) {
  const T size = x < T(0) ? -x : x;
  const T sign = static_cast<T>((T(0) < x) - (x < T(0)));
  return size < T(1) / sigma2 ? sigma2 * x : sign;
}

// Caffe (sgd_solver): the learning rate is inside the momentum. Changes history and weight.
template <typename T>
CAFFE_HOST_DEVICE void momentum_update(T& weight, T grad, T& history, T rate, T momentum, T decay) {
  history = momentum * history + rate * (grad + decay * weight);
  weight -= history;
}

// base ^ exponent; Caffe's networks nearly all say 0.75, which needs two square roots only.
template <typename T, bool kThreeQuarters>
CAFFE_HOST_DEVICE T negative_power(T base, T exponent) {
  if (kThreeQuarters) {
    const T root = sqrt(base);
    return T(1) / (root * sqrt(root));
  }
  return pow(base, -exponent);
}

}  // namespace caffe_fast_rcnn
