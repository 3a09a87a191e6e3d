// Greedy non-maximum suppression on the GPU; see nms.cpp.
//
// The boxes come sorted. Many threads fill a table of overlaps, one bit per pair; then a single
// block walks down its diagonal and decides 64 boxes at a time. The table is made and used
// kNmsRows rows at a time, so that its size grows with the number of boxes, not with its square.
#include "geometry.h"
#include "launch.cuh"
#include "launchers.h"

namespace caffe_fast_rcnn {
namespace {

constexpr int kScanThreads = 512;

// Bit k of words[w * rows + i - first]: box i suppresses the later box 64 w + k. Words left of
// the diagonal are never read and stay as they are. Neighbouring threads compare neighbouring
// boxes i with the same box.
__global__ void find_overlaps(NmsArguments of, int64_t first, int64_t rows, int64_t width,
                              uint64_t* words) {
  const Box* boxes = reinterpret_cast<const Box*>(of.boxes);
  CAFFE_GRID_STRIDE(t, rows * width) {
    const int64_t w = t / rows, i = first + t % rows;
    if (w < i / kNmsBits) continue;
    const Box box = boxes[i];
    const float area = box_area(box);
    const int64_t start = w * kNmsBits;
    const int64_t end = smaller(start + kNmsBits, of.count);
    uint64_t bits = 0;
    for (int64_t j = larger(start, i + 1); j < end; ++j) {
      if (of.groups && of.groups[i] != of.groups[j]) continue;
      if (overlap(box, area, boxes[j], box_area(boxes[j])) >= of.threshold) {
        bits |= uint64_t(1) << (j - start);
      }
    }
    words[t] = bits;
  }
}

// One block. Decides rows first, ..., first + rows - 1 and notes in `removed` what they suppress.
__global__ void keep_greedily(NmsArguments of, int64_t first, int64_t rows, int64_t width,
                              const uint64_t* words, uint64_t* removed, int64_t* kept_count,
                              bool* kept) {
  __shared__ uint64_t diagonal[kNmsBits];
  __shared__ uint64_t chosen;
  for (int64_t start = 0; start < rows; start += kNmsBits) {
    const int64_t w = (first + start) / kNmsBits;
    const int64_t size = smaller(kNmsBits, rows - start);
    for (int64_t k = threadIdx.x; k < size; k += blockDim.x) {
      diagonal[k] = words[w * rows + start + k];
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      uint64_t gone = removed[w];
      chosen = 0;
      for (int64_t k = 0; k < size && *kept_count < of.max_keep; ++k) {
        if (gone >> k & 1) continue;
        gone |= diagonal[k];
        chosen |= uint64_t(1) << k;
        kept[first + start + k] = true;
        ++*kept_count;
      }
    }
    __syncthreads();
    for (int64_t later = w + 1 + threadIdx.x; later < width; later += blockDim.x) {
      uint64_t bits = removed[later];
      for (int64_t k = 0; k < size; ++k) {
        if (chosen >> k & 1) bits |= words[later * rows + start + k];
      }
      removed[later] = bits;
    }
    __syncthreads();
  }
}

}  // namespace

cudaError_t launch_nms(const NmsArguments& arguments, uint64_t* words, uint64_t* removed,
                       int64_t* kept_count, bool* kept, cudaStream_t stream) {
  const int64_t width = (arguments.count + kNmsBits - 1) / kNmsBits;
  for (int64_t first = 0; first < arguments.count; first += kNmsRows) {
    const int64_t rows = smaller(kNmsRows, arguments.count - first);
    CAFFE_LAUNCH(find_overlaps, blocks_for(rows * width), kThreads, stream, arguments, first, rows,
                 width, words);
    CAFFE_LAUNCH(keep_greedily, 1, kScanThreads, stream, arguments, first, rows, width, words,
                 removed, kept_count, kept);
  }
  return cudaGetLastError();
}

}  // namespace caffe_fast_rcnn
