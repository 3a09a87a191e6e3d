// The product of a few rows with a large matrix (an InnerProduct at a batch of 1 to 4), for test
// nets: bound by reading the matrix, which the threads divide among themselves and read once.
// BLAS computes such a product in one thread.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>

#include "checks.h"
#include "vectors.h"

namespace caffe_fast_rcnn {
namespace {

constexpr int kMostRows = 4;
constexpr int64_t kGrain = 1 << 15;   // numbers of the matrix that are worth a thread
constexpr int64_t kAhead = 1 << 9;    // floats between what is used and what is fetched

inline float sum_of(Vector v) {
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

// results[row] = the product of x[row] and the weights; the order of each sum is always the same.
template <int kRows>
void multiply(const float* x, const float* weights, int64_t length, float* results) {
  constexpr int kParts = 4;
  Vector sums[kRows][kParts] = {};
  int64_t k = 0;
  for (; k + kParts * kLanes <= length; k += kParts * kLanes) {
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) {
      const int64_t place = k + part * kLanes;
      __builtin_prefetch(weights + place + kAhead, 0, 2);
      const Vector weight = load(weights + place);
#pragma GCC unroll 4
      for (int row = 0; row < kRows; ++row) {
        sums[row][part] = multiply_add(load(x + row * length + place), weight, sums[row][part]);
      }
    }
  }
  for (; k < length; k += kLanes) {
    const int64_t lanes = std::min<int64_t>(kLanes, length - k);
    const Vector weight = load_some(weights + k, lanes);
    for (int row = 0; row < kRows; ++row) {
      sums[row][0] = multiply_add(load_some(x + row * length + k, lanes), weight, sums[row][0]);
    }
  }
  for (int row = 0; row < kRows; ++row) {
    results[row] = sum_of((sums[row][0] + sums[row][1]) + (sums[row][2] + sums[row][3]));
  }
}

at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, double low, double high) {
  constexpr const char* op = "few_rows_product";
  check_float_on_cpu(op, "x", x, 2);
  check_float_on_cpu(op, "weight", weight, 2);
  TORCH_CHECK_VALUE(x.size(0) <= kMostRows, op, ": x must have at most ", kMostRows,
                    " rows, not be ", x.sizes());
  TORCH_CHECK_VALUE(x.size(1) == weight.size(1), op, ": weight must be (O, ", x.size(1),
                    "), not ", weight.sizes());
  check_bias(op, bias, weight.size(0));
  const int64_t rows = x.size(0), length = x.size(1), outputs = weight.size(0);
  at::Tensor out = at::empty({rows, outputs}, x.options());
  if (out.numel() == 0) return out;
  const at::Tensor from = x.contiguous(), matrix = weight.contiguous();
  const at::Tensor addend = bias ? bias->contiguous() : at::zeros({outputs}, x.options());
  const float *inputs = from.const_data_ptr<float>(), *weights = matrix.const_data_ptr<float>();
  const float* shift = addend.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  const auto least = static_cast<float>(low), most = static_cast<float>(high);
  const auto multiply_rows =
      rows == 1 ? multiply<1> : rows == 2 ? multiply<2> : rows == 3 ? multiply<3> : multiply<4>;
  const auto compute = [&](int64_t first, int64_t last) {
    float results[kMostRows];
    for (int64_t o = first; o < last; ++o) {
      multiply_rows(inputs, weights + o * length, length, results);
      for (int64_t row = 0; row < rows; ++row) {
        float value = results[row] + shift[o];
        value = value < least ? least : value;
        to[row * outputs + o] = value > most ? most : value;
      }
    }
  };
  at::parallel_for(0, outputs, kGrain / std::max<int64_t>(length, 1) + 1, compute);
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "few_rows_product(Tensor x, Tensor weight, Tensor? bias, float low, float high) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("few_rows_product", &few_rows_product); }

}  // namespace caffe_fast_rcnn
