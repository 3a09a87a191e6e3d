// What the .cu files offer to bindings_cuda.cpp: plain functions of device pointers, so that the
// kernels compile without PyTorch's headers. Each one queues its kernels on `stream`, waits for
// nothing and returns the error of the launch. T is float or double.
#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

#include "roi_align.h"

namespace caffe_fast_rcnn {

// How gradients that meet in one place are added up: at once by atomic additions, whose order
// differs from run to run, or each place by one thread in the order of the regions and their bins,
// which takes longer and gives the same numbers every time, those of the CPU kernels.
enum class Sum { kAtomic, kInOrder };

// features (N, H, W, C); pooled and argmax (R, C, ph, pw); argmax may be null.
template <typename T>
cudaError_t launch_roi_pool(const T* features, const T* rois, const RegionShape& shape, T scale,
                            T* pooled, int32_t* argmax, cudaStream_t stream);

// grad, argmax (R, C, ph, pw); to (N, C, H, W) holds zeros.
template <typename T>
cudaError_t launch_roi_pool_backward(const T* grad, const T* rois, const int32_t* argmax,
                                     const RegionShape& shape, T scale, Sum order, T* to,
                                     cudaStream_t stream);

// features (N, H, W, C); pooled (R, C, ph, pw).
template <typename T>
cudaError_t launch_roi_align(const T* features, const T* rois, const RegionShape& shape,
                             const AlignOptions<T>& options, T* pooled, cudaStream_t stream);

// grad (R, ph, pw, C); to (N, H, W, C) holds zeros. weights: null for atomic additions; for sums
// in order R * (ph * H + pw * W) numbers of scratch.
template <typename T>
cudaError_t launch_roi_align_backward(const T* grad, const T* rois, const RegionShape& shape,
                                      const AlignOptions<T>& options, T* weights, T* to,
                                      cudaStream_t stream);

// grad (R, ph, pw, C); features (N, H, W, C); to (R, 5).
template <typename T>
cudaError_t launch_roi_align_rois_backward(const T* grad, const T* features, const T* rois,
                                           const RegionShape& shape,
                                           const AlignOptions<T>& options, T* to,
                                           cudaStream_t stream);

// features (N, C, H, W); pooled (R, C): a channel for every bin of every class.
template <typename T>
cudaError_t launch_psroi_pool(const T* features, const T* rois, const RegionShape& shape, T scale,
                              T* pooled, cudaStream_t stream);

// grad (R, C); to (N, C, H, W) holds zeros.
template <typename T>
cudaError_t launch_psroi_pool_backward(const T* grad, const T* rois, const RegionShape& shape,
                                       T scale, Sum order, T* to, cudaStream_t stream);

// The operands of SmoothL1Loss, `count` numbers each; the weights may be null (one).
template <typename T>
struct SmoothL1Operands {
  const T *pred, *target, *inside, *outside;
  int64_t count;
  T sigma2, axis;  // axis: the length of the first axis, which divides the sum
};

constexpr int kSmoothL1Parts = 256;

// parts: kSmoothL1Parts numbers of scratch; loss: one number.
template <typename T>
cudaError_t launch_smooth_l1(const SmoothL1Operands<T>& operands, double* parts, T* loss,
                             cudaStream_t stream);

// grad: one number; to: the gradient for pred.
template <typename T>
cudaError_t launch_smooth_l1_backward(const SmoothL1Operands<T>& operands, const T* grad, T* to,
                                      cudaStream_t stream);

constexpr int64_t kNmsBits = 64;    // overlaps per word
constexpr int64_t kNmsRows = 4096;  // rows of the table of overlaps that are held at a time

// boxes (N, 4) in descending order of score; groups (N,) or null; kept (N,) and removed
// (ceil(N / 64),) and count (1,) hold zeros; words: kNmsRows * ceil(N / 64) of scratch.
struct NmsArguments {
  const float* boxes;
  const int64_t* groups;
  int64_t count, max_keep;
  float threshold;
};
cudaError_t launch_nms(const NmsArguments& arguments, uint64_t* words, uint64_t* removed,
                       int64_t* kept_count, bool* kept, cudaStream_t stream);

// x, y, grad, dx, ratios: (cells, channels); slope: alpha / size.
template <typename T>
struct LrnArguments {
  int64_t cells, channels, size;
  T slope, beta, k;
};

template <typename T>
cudaError_t launch_lrn(const LrnArguments<T>& arguments, const T* x, T* y, cudaStream_t stream);

// ratios: scratch as large as x.
template <typename T>
cudaError_t launch_lrn_backward(const LrnArguments<T>& arguments, const T* grad, const T* x,
                                T* ratios, T* dx, cudaStream_t stream);

template <typename T>
cudaError_t launch_sgd_update(T* weight, const T* grad, T* history, int64_t count, T rate,
                              T momentum, T decay, cudaStream_t stream);

}  // namespace caffe_fast_rcnn
