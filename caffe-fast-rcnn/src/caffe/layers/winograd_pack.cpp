// The weights of Winograd's convolution, transformed and packed as its products read them.
#include "winograd_pack.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>

#include "winograd_product.h"
#include "winograd_transforms.h"

namespace caffe_fast_rcnn::winograd {

void check_operand(const char* op, const char* name, const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, op, ": ",
                    name, " must be float32 or bfloat16, not ", x.scalar_type());
  TORCH_CHECK_VALUE(x.device().is_cpu(), op, ": ", name, " must be on the CPU, not on ",
                    x.device());
}

void check_weight(const char* op, const at::Tensor& weight) {
  check_operand(op, "weight", weight);
  TORCH_CHECK_VALUE(weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3, op,
                    ": weight must be (O, C, 3, 3), not ", weight.sizes());
}

namespace {

constexpr int64_t kBatch = 16;  // channels whose weights are gathered together

// Weights as numbers with strides, which are negative where the kernel is turned.
struct Weights {
  const float* data;
  int64_t outputs, channels, output_stride, channel_stride, row_stride, column_stride;

  // gathered[row][column][channel][lane]: of `count` channels and a vector of outputs.
  void gather(int64_t output, int64_t channel, int64_t count, float* gathered) const {
    const int64_t lanes = std::min<int64_t>(kLanes, outputs - output);
    for (int64_t place = 0; place < 9; ++place) {
      float* to = gathered + place * kBatch * kLanes;
      const float* from = data + place / 3 * row_stride + place % 3 * column_stride +
                          output * output_stride + channel * channel_stride;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        for (int64_t c = 0; c < count; ++c) {
          to[c * kLanes + lane] = from[lane * output_stride + c * channel_stride];
        }
      }
    }
  }
};

Weights weights_of(const at::Tensor& weight, bool rotated) {
  const float* data = weight.const_data_ptr<float>();
  const int64_t rows = weight.stride(2), columns = weight.stride(3);
  if (!rotated) {
    return {data,  weight.size(0), weight.size(1), weight.stride(0), weight.stride(1), rows,
            columns};
  }
  return {data + 2 * rows + 2 * columns, weight.size(1), weight.size(0), weight.stride(1),
          weight.stride(0), -rows, -columns};
}

// Where a vector of outputs of one channel goes: kDepth numbers from one to the next.
inline void put(float* to, Vector v) { store(to, v); }
inline void put(Bfloat* to, Vector v) {
  const HalfBits half = rounded(v);
  for (int lane = 0; lane < kLanes; ++lane) to[lane * kDepth<Bfloat>].bits = half[lane];
}

// The transform of a vector of outputs and one channel; `plane` numbers lie between the positions.
template <typename T, typename Number>
void transform(const float* gathered, Number* to, int64_t plane) {
  WideVector half[T::kSize][3], column[3], values[T::kSize];
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    for (int i = 0; i < 3; ++i) column[i] = widened(load(gathered + (i * 3 + j) * kBatch * kLanes));
    T::of_weights(column, values);
    for (int i = 0; i < T::kSize; ++i) half[i][j] = values[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < T::kSize; ++i) {
    T::of_weights(half[i], values);
    for (int j = 0; j < T::kSize; ++j) put(to + (i * T::kSize + j) * plane, narrowed(values[j]));
  }
}

template <int kOutputs, typename Number>
void fill(const Weights& from, Number* to) {
  constexpr int kWords = kDepth<Number>;
  const int64_t panels = (from.outputs + kPanel - 1) / kPanel;
  const int64_t batches = (from.channels + kBatch - 1) / kBatch;
  const int64_t rows = (from.channels + kWords - 1) / kWords;
  const int64_t plane = panels * rows * kPanel * kWords;
  at::parallel_for(0, panels * batches, 4, [&](int64_t first, int64_t last) {
    float gathered[2][9 * kBatch * kLanes] = {};
    for (int64_t item = first; item < last; ++item) {
      const int64_t panel = item / batches, channel = item % batches * kBatch;
      const int64_t count = std::min(kBatch, from.channels - channel);
      for (int half = 0; half < 2; ++half) {
        const int64_t output = panel * kPanel + half * kLanes;
        if (output + kLanes > from.outputs) std::fill_n(gathered[half], 9 * kBatch * kLanes, 0.f);
        if (output < from.outputs) from.gather(output, channel, count, gathered[half]);
      }
      for (int64_t c = 0; c < count; ++c) {
        const int64_t row = (channel + c) / kWords, word = (channel + c) % kWords;
        Number* start = to + (panel * rows + row) * kPanel * kWords + word;
        for (int half = 0; half < 2; ++half) {
          transform<Tile<kOutputs>>(gathered[half] + c * kLanes, start + half * kLanes * kWords,
                                    plane);
        }
      }
    }
  });
}

template <typename Number>
void fill(const Weights& from, int64_t tile, Number* to) {
  tile == 2 ? fill<2>(from, to) : tile == 4 ? fill<4>(from, to) : fill<6>(from, to);
}

at::Tensor empty_packed(const at::Tensor& weight, int64_t tile, bool rotated) {
  TORCH_CHECK_VALUE(tile == 2 || tile == 4 || tile == 6,
                    "winograd_pack: a tile has 2, 4 or 6 outputs along a side, not ", tile);
  const int64_t outputs = weight.size(rotated ? 1 : 0), channels = weight.size(rotated ? 0 : 1);
  const int64_t positions = (tile + 2) * (tile + 2), panels = (outputs + kPanel - 1) / kPanel;
  const auto options = weight.options().memory_format(at::MemoryFormat::Contiguous);
  if (weight.scalar_type() == at::kFloat) {
    return at::empty({positions, panels, channels, kPanel}, options);
  }
  // a last channel without a neighbour has zeros beside it
  at::Tensor packed = at::empty({positions, panels, (channels + 1) / 2, kPanel, 2}, options);
  if (channels % 2) packed.select(2, channels / 2).zero_();
  return packed;
}

}  // namespace

at::Tensor pack(const at::Tensor& weight, int64_t tile, bool rotated) {
  check_weight("winograd_pack", weight);
  at::Tensor packed = empty_packed(weight, tile, rotated);
  if (packed.numel() == 0) return packed;
  const at::Tensor numbers = weight.to(at::kFloat);
  const Weights from = weights_of(numbers, rotated);
  if (weight.scalar_type() == at::kFloat) {
    fill(from, tile, packed.mutable_data_ptr<float>());
  } else {
    fill(from, tile, reinterpret_cast<Bfloat*>(packed.mutable_data_ptr<at::BFloat16>()));
  }
  return packed;
}

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def("winograd_pack(Tensor weight, int tile, bool rotated) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("winograd_pack", &pack); }

}  // namespace caffe_fast_rcnn::winograd
