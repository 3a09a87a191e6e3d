// What the CPU kernels over regions of interest share.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "geometry.h"

namespace caffe_fast_rcnn {

constexpr int64_t kChannelBlock = 16;  // one cache line of float32

// The distance of two bins with all their channels, padded so that the bins do not all fall into
// the same sets of the cache.
inline int64_t bin_stride(int64_t channels) { return channels + kChannelBlock; }

template <typename T>
void check_rois(const char* op, const T* rois, int64_t count, int64_t images) {
  for (int64_t r = 0; r < count; ++r) {
    const T* roi = rois + 5 * r;
    if (is_sound_region(roi, images)) continue;
    TORCH_CHECK_VALUE(std::all_of(roi, roi + 5, [](T v) { return std::isfinite(v); }), op,
                      ": rois[", r, "] = (", roi[0], ", ", roi[1], ", ", roi[2], ", ", roi[3],
                      ", ", roi[4], ") is not finite");
    TORCH_CHECK_VALUE(false, op, ": rois[", r, ", 0] = ", roi[0],
                      " is not the index of an image in a batch of ", images);
  }
}

// (bins, stride) -> (channels, bins), a block of channels at a time.
template <typename T>
void transpose_bins(const T* by_bin, int64_t stride, int64_t channels, int64_t bins, T* out) {
  for (int64_t first = 0; first < channels; first += kChannelBlock) {
    const int64_t last = std::min(first + kChannelBlock, channels);
    for (int64_t b = 0; b < bins; ++b) {
      for (int64_t c = first; c < last; ++c) out[c * bins + b] = by_bin[b * stride + c];
    }
  }
}

}  // namespace caffe_fast_rcnn
