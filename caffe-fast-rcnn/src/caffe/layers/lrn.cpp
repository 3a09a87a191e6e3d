// Local response normalisation across channels (Caffe, lrn_layer, ACROSS_CHANNELS):
// y = x * (k + alpha / size * sum of x^2 over `size` neighbouring channels) ^ -beta.
//
// The CPU kernels walk over the channels of one cell at a time (channels_last), so that everything
// but x and y stays in the first-level cache; backward computes the scale again instead of
// keeping it.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <vector>

#include "geometry.h"
#include "lrn.h"

namespace caffe_fast_rcnn {

void check_lrn_across(const at::Tensor& x, int64_t size) {
  check_lrn("lrn_across", x, size);
  TORCH_CHECK_VALUE(x.dim() >= 2, "lrn_across: x must be (N, C, ...), not ", x.sizes());
}

void check_lrn_across_backward(const at::Tensor& grad, const at::Tensor& x, int64_t size) {
  check_lrn_across(x, size);
  check_alike("lrn_across_backward", "grad is", grad, "x is", x);
}

namespace {

constexpr int64_t kGrain = 1 << 13;

template <typename T>
struct Formula {
  int64_t channels, size;
  T slope, beta, k;  // slope: alpha / size

  int64_t padding() const { return size / 2; }
  int64_t padded() const { return channels + size - 1; }
};

// Sums over windows of `padded`, which has `size` - 1 numbers more than there are channels.
// A kSize other than 0 is the size, known when the loop is compiled.
template <int kSize, typename T>
inline T window_sum(const T* padded, int64_t size) {
  T sum = 0;
  for (int64_t j = 0; j < (kSize ? kSize : size); ++j) sum += padded[j];
  return sum;
}

template <int kSize, bool kThreeQuarters, typename T>
void forward_rows(const Formula<T>& f, const T* x, int64_t rows, T* y) {
  std::vector<T> scratch(f.padded());
  T* __restrict__ squares = scratch.data();
  for (int64_t row = 0; row < rows; ++row, x += f.channels, y += f.channels) {
    for (int64_t c = 0; c < f.channels; ++c) squares[f.padding() + c] = x[c] * x[c];
    for (int64_t c = 0; c < f.channels; ++c) {
      const T scale = f.k + f.slope * window_sum<kSize>(squares + c, f.size);
      y[c] = x[c] * negative_power<T, kThreeQuarters>(scale, f.beta);
    }
  }
}

// dx = g * scale^-beta - 2 alpha beta / size * x * sum of g * y / scale over the same window.
template <int kSize, bool kThreeQuarters, typename T>
void backward_rows(const Formula<T>& f, const T* g, const T* x, int64_t rows, T* dx) {
  std::vector<T> scratch(2 * f.padded() + f.channels);
  T* __restrict__ squares = scratch.data();
  T* __restrict__ ratios = squares + f.padded();
  T* __restrict__ powers = ratios + f.padded();
  const T factor = T(2) * f.slope * f.beta;
  for (int64_t row = 0; row < rows; ++row, x += f.channels, g += f.channels, dx += f.channels) {
    for (int64_t c = 0; c < f.channels; ++c) squares[f.padding() + c] = x[c] * x[c];
    for (int64_t c = 0; c < f.channels; ++c) {
      const T scale = f.k + f.slope * window_sum<kSize>(squares + c, f.size);
      powers[c] = g[c] * negative_power<T, kThreeQuarters>(scale, f.beta);
      ratios[f.padding() + c] = x[c] * powers[c] / scale;
    }
    for (int64_t c = 0; c < f.channels; ++c) {
      dx[c] = powers[c] - factor * x[c] * window_sum<kSize>(ratios + c, f.size);
    }
  }
}

template <typename T>
Formula<T> formula(int64_t channels, int64_t size, double alpha, double beta, double k) {
  return {channels, size, static_cast<T>(alpha / static_cast<double>(size)), static_cast<T>(beta),
          static_cast<T>(k)};
}

at::Tensor lrn_across(const at::Tensor& x, int64_t size, double alpha, double beta, double k) {
  check_lrn_across(x, size);
  const at::Tensor from = channels_last_rows(x);
  at::Tensor to = at::empty_like(from);
  if (x.numel() == 0) return to.movedim(-1, 1);
  const int64_t channels = x.size(1), rows = x.numel() / channels;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "lrn_across", [&] {
    const auto f = formula<scalar_t>(channels, size, alpha, beta, k);
    const scalar_t* in = from.const_data_ptr<scalar_t>();
    scalar_t* out = to.mutable_data_ptr<scalar_t>();
    with_constants<3, 5>(f.size, f.beta, [&](auto window, auto three_quarters) {
      at::parallel_for(0, rows, kGrain / channels + 1, [&](int64_t first, int64_t last) {
        const int64_t start = first * channels;
        forward_rows<window(), three_quarters()>(f, in + start, last - first, out + start);
      });
    });
  });
  return to.movedim(-1, 1);
}

at::Tensor lrn_across_backward(const at::Tensor& grad, const at::Tensor& x, int64_t size,
                               double alpha, double beta, double k) {
  check_lrn_across_backward(grad, x, size);
  const at::Tensor from = channels_last_rows(x), gradient = channels_last_rows(grad);
  at::Tensor to = at::empty_like(from);
  if (x.numel() == 0) return to.movedim(-1, 1);
  const int64_t channels = x.size(1), rows = x.numel() / channels;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "lrn_across_backward", [&] {
    const auto f = formula<scalar_t>(channels, size, alpha, beta, k);
    const scalar_t* in = from.const_data_ptr<scalar_t>();
    const scalar_t* g = gradient.const_data_ptr<scalar_t>();
    scalar_t* out = to.mutable_data_ptr<scalar_t>();
    with_constants<3, 5>(f.size, f.beta, [&](auto window, auto three_quarters) {
      at::parallel_for(0, rows, kGrain / channels + 1, [&](int64_t first, int64_t last) {
        const int64_t start = first * channels;
        backward_rows<window(), three_quarters()>(f, g + start, in + start, last - first,
                                                  out + start);
      });
    });
  });
  return to.movedim(-1, 1);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def("lrn_across(Tensor x, int size, float alpha, float beta, float k) -> Tensor");
  m.def(
      "lrn_across_backward(Tensor grad, Tensor x, int size, float alpha, float beta, float k) "
      "-> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("lrn_across", &lrn_across);
  m.impl("lrn_across_backward", &lrn_across_backward);
}

}  // namespace caffe_fast_rcnn
