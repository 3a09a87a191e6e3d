// Where ROIAlign looks at a feature map, for the CPU and the CUDA kernels (He et al., Mask R-CNN;
// the sample positions are those of Caffe2's and Detectron2's layer). Both sides of a region are
// alike and independent: a sample is a pair of taps, one per side, and its value the product of
// their weights over four cells (bilinear interpolation).
#pragma once

#include "geometry.h"

namespace caffe_fast_rcnn {

template <typename T>
struct AlignOptions {
  T scale;
  int sampling_ratio;  // samples of a bin along each side; 0 or less: one per cell, rounded up
  bool aligned;        // cell i is the unit around i + 1/2: half a cell is taken from the corners
};

// A position on one side of a map, between the centres of two neighbouring cells.
template <typename T>
struct Tap {
  bool inside;  // less than a cell beyond the outermost centres; all others count as 0
  int low, high;
  T low_weight, high_weight;
  T slope;  // weight that goes from low to high per cell: 1, or 0 beyond the outermost centres

  CAFFE_HOST_DEVICE Tap(T position, int size)
      : inside(position >= T(-1) && position <= static_cast<T>(size) && size > 0),
        low(0), high(0), low_weight(1), high_weight(0), slope(0) {
    if (!inside || position <= T(0)) return;
    low = high = smaller(static_cast<int>(position), size - 1);
    if (low == size - 1) return;
    high = low + 1;
    high_weight = position - static_cast<T>(low);
    low_weight = T(1) - high_weight;
    slope = T(1);
  }
};

// One side of a region, from its first to its last coordinate, cut into bins with samples.
template <typename T>
class AlignSide {
 public:
  CAFFE_HOST_DEVICE AlignSide(T first, T last, int bins, const AlignOptions<T>& options)
      : scale_(options.scale), bins_(static_cast<T>(bins)) {
    const T offset = options.aligned ? T(0.5) : T(0);
    start_ = first * scale_ - offset;
    length_ = last * scale_ - offset - start_;
    // Caffe2 (roi_align_op): without `aligned`, a malformed region is one cell long.
    stretched_ = !options.aligned && length_ < T(1);
    if (stretched_) length_ = T(1);
    bin_ = length_ / bins_;
    samples_ = options.sampling_ratio > 0 ? options.sampling_ratio : count(ceil(bin_), kMost);
  }

  CAFFE_HOST_DEVICE int samples() const { return samples_; }

  CAFFE_HOST_DEVICE T position(int bin, int sample) const {
    return start_ + static_cast<T>(bin) * bin_ +
           (static_cast<T>(sample) + T(0.5)) * bin_ / static_cast<T>(samples_);
  }

  // The samples of a bin that may lie inside a map `size` cells long: a region far larger than the
  // map costs no more than the map.
  CAFFE_HOST_DEVICE Span samples_over(int bin, int size) const {
    const T origin = start_ + static_cast<T>(bin) * bin_;
    const T step = bin_ / static_cast<T>(samples_);
    if (!(step > T(0))) return {0, samples_};
    return {count(floor((T(-1) - origin) / step) - T(1), samples_),
            count(ceil((static_cast<T>(size) - origin) / step) + T(1), samples_)};
  }

  // How far a sample moves per pixel that the first or the last coordinate moves.
  CAFFE_HOST_DEVICE T by_first(int bin, int sample) const {
    return stretched_ ? scale_ : scale_ * (T(1) - share(bin, sample));
  }
  CAFFE_HOST_DEVICE T by_last(int bin, int sample) const {
    return stretched_ ? T(0) : scale_ * share(bin, sample);
  }

 private:
  static constexpr int kMost = 1 << 24;

  // A whole number in 0, ..., most; 0 for NaN.
  CAFFE_HOST_DEVICE static int count(T number, int most) {
    return static_cast<int>(smaller(larger(T(0), number), static_cast<T>(most)));
  }

  // Where on the side a sample lies: 0 at the first, 1 at the last coordinate.
  CAFFE_HOST_DEVICE T share(int bin, int sample) const {
    return (static_cast<T>(bin) + (static_cast<T>(sample) + T(0.5)) / static_cast<T>(samples_)) /
           bins_;
  }

  T scale_, bins_, start_, length_, bin_;
  bool stretched_;
  int samples_;
};

}  // namespace caffe_fast_rcnn
