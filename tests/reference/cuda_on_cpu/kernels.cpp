// The CUDA kernels, compiled for the CPU and reachable from ctypes (float32).
#include "cuda_runtime.h"
#include "lrn.cu"
#undef CAFFE_INSTANTIATE
#include "nms.cu"
#include "psroi_pooling.cu"
#undef CAFFE_INSTANTIATE
#include "roi_align.cu"
#undef CAFFE_INSTANTIATE
#include "roi_pooling.cu"
#undef CAFFE_INSTANTIATE
#include "sgd_update.cu"
#undef CAFFE_INSTANTIATE
#include "smooth_l1_loss.cu"

using namespace caffe_fast_rcnn;

extern "C" {

void roi_pool(const float* features, const float* rois, const RegionShape* shape, float scale,
              float* pooled, int32_t* argmax) {
  launch_roi_pool(features, rois, *shape, scale, pooled, argmax, nullptr);
}

void roi_pool_backward(const float* grad, const float* rois, const int32_t* argmax,
                       const RegionShape* shape, float scale, int64_t in_order, float* to) {
  launch_roi_pool_backward(grad, rois, argmax, *shape, scale, in_order ? Sum::kInOrder : Sum::kAtomic,
                           to, nullptr);
}

void roi_align(const float* features, const float* rois, const RegionShape* shape, float scale,
               int64_t sampling_ratio, int64_t aligned, float* pooled) {
  launch_roi_align<float>(features, rois, *shape,
                          {scale, static_cast<int>(sampling_ratio), aligned != 0}, pooled, nullptr);
}

void roi_align_backward(const float* grad, const float* features, const float* rois,
                        const RegionShape* shape, float scale, int64_t sampling_ratio,
                        int64_t aligned, float* weights, float* to_features, float* to_rois) {
  const AlignOptions<float> options{scale, static_cast<int>(sampling_ratio), aligned != 0};
  launch_roi_align_backward(grad, rois, *shape, options, weights, to_features, nullptr);
  launch_roi_align_rois_backward(grad, features, rois, *shape, options, to_rois, nullptr);
}

void psroi_pool(const float* features, const float* rois, const RegionShape* shape, float scale,
                float* pooled) {
  launch_psroi_pool(features, rois, *shape, scale, pooled, nullptr);
}

void psroi_pool_backward(const float* grad, const float* rois, const RegionShape* shape,
                         float scale, int64_t in_order, float* to) {
  launch_psroi_pool_backward(grad, rois, *shape, scale, in_order ? Sum::kInOrder : Sum::kAtomic, to,
                             nullptr);
}

void smooth_l1(const float* pred, const float* target, const float* inside, const float* outside,
               int64_t count, float sigma2, float axis, float* loss) {
  double parts[kSmoothL1Parts];
  launch_smooth_l1<float>({pred, target, inside, outside, count, sigma2, axis}, parts, loss,
                          nullptr);
}

void smooth_l1_backward(const float* pred, const float* target, const float* inside,
                        const float* outside, int64_t count, float sigma2, float axis,
                        const float* grad, float* to) {
  launch_smooth_l1_backward<float>({pred, target, inside, outside, count, sigma2, axis}, grad, to,
                                   nullptr);
}

void nms(const float* boxes, const int64_t* groups, int64_t count, int64_t max_keep,
         float threshold, uint64_t* words, uint64_t* removed, int64_t* kept_count, bool* kept) {
  launch_nms({boxes, groups, count, max_keep, threshold}, words, removed, kept_count, kept,
             nullptr);
}

void lrn(int64_t cells, int64_t channels, int64_t size, float slope, float beta, float k,
         const float* x, float* y) {
  launch_lrn<float>({cells, channels, size, slope, beta, k}, x, y, nullptr);
}

void lrn_backward(int64_t cells, int64_t channels, int64_t size, float slope, float beta, float k,
                  const float* grad, const float* x, float* ratios, float* dx) {
  launch_lrn_backward<float>({cells, channels, size, slope, beta, k}, grad, x, ratios, dx,
                             nullptr);
}

void sgd_update(float* weight, const float* grad, float* history, int64_t count, float rate,
                float momentum, float decay) {
  launch_sgd_update(weight, grad, history, count, rate, momentum, decay, nullptr);
}

}  // extern "C"
