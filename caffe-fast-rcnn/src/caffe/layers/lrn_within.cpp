// Local response normalisation within each channel (Caffe, lrn_layer, WITHIN_CHANNEL):
// y = x * (1 + alpha / size^2 * sum of x^2 over size x size pixels) ^ -beta; pixels beyond the
// border are zeros.
//
// The CPU kernels take one image row of all channels at a time (channels_last): first sums over the
// rows of the window, which the second-level cache holds, then over its columns. Every inner loop
// runs over neighbouring numbers.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "geometry.h"
#include "lrn.h"

namespace caffe_fast_rcnn {
namespace {

// Images (N, H, W, C) and the window over them.
template <typename T>
struct Windows {
  int64_t height, width, channels, size;
  T slope, beta;  // slope: alpha / size^2

  int64_t row_length() const { return width * channels; }
  int64_t reach() const { return size / 2; }
  int64_t margin() const { return reach() * channels; }

  // A row with the margins that windows at its ends reach into, all zeros.
  std::vector<T> make_row() const { return std::vector<T>(row_length() + 2 * margin(), T(0)); }

  // sums[i], inside its margins: the numbers (kSquare: their squares) at place i of the rows within
  // reach of row number `row`, counted over all images.
  template <bool kSquare>
  void sum_rows(const T* numbers, int64_t row, std::vector<T>& sums) const {
    T* __restrict__ out = sums.data() + margin();
    const int64_t image = row / height * height, y = row - image;
    const int64_t first = std::max<int64_t>(y - reach(), 0);
    const int64_t last = std::min(y + reach(), height - 1);
    std::fill(out, out + row_length(), T(0));
    for (int64_t r = first; r <= last; ++r) {
      const T* __restrict__ in = numbers + (image + r) * row_length();
      for (int64_t i = 0; i < row_length(); ++i) out[i] += kSquare ? in[i] * in[i] : in[i];
    }
  }

  // The sum over the window's columns of what sum_rows left. A kSize other than 0 is the size.
  template <int kSize>
  T sum_columns(const T* sums, int64_t i) const {
    T sum = 0;
    for (int64_t j = 0; j < (kSize ? kSize : size); ++j) sum += sums[i + j * channels];
    return sum;
  }
};

template <int kSize, bool kThreeQuarters, typename T>
void forward_rows(const Windows<T>& w, const T* x, int64_t first, int64_t last, T* y) {
  std::vector<T> row_sums = w.make_row();
  const T* __restrict__ sums = row_sums.data();
  for (int64_t row = first; row < last; ++row) {
    w.template sum_rows<true>(x, row, row_sums);
    const T* __restrict__ in = x + row * w.row_length();
    T* __restrict__ out = y + row * w.row_length();
    for (int64_t i = 0; i < w.row_length(); ++i) {
      const T scale = T(1) + w.slope * w.template sum_columns<kSize>(sums, i);
      out[i] = in[i] * negative_power<T, kThreeQuarters>(scale, w.beta);
    }
  }
}

// First half of backward: ratios = g * y / scale, dx = g * scale^-beta.
template <int kSize, bool kThreeQuarters, typename T>
void ratio_rows(const Windows<T>& w, const T* g, const T* x, int64_t first, int64_t last,
                T* ratios, T* dx) {
  std::vector<T> row_sums = w.make_row();
  const T* __restrict__ sums = row_sums.data();
  for (int64_t row = first; row < last; ++row) {
    w.template sum_rows<true>(x, row, row_sums);
    const int64_t start = row * w.row_length();
    const T* __restrict__ in = x + start;
    const T* __restrict__ grad = g + start;
    T* __restrict__ ratio = ratios + start;
    T* __restrict__ power = dx + start;
    for (int64_t i = 0; i < w.row_length(); ++i) {
      const T scale = T(1) + w.slope * w.template sum_columns<kSize>(sums, i);
      power[i] = grad[i] * negative_power<T, kThreeQuarters>(scale, w.beta);
      ratio[i] = in[i] * power[i] / scale;
    }
  }
}

// Second half: dx -= 2 alpha beta / size^2 * x * sum of the ratios over the window.
template <int kSize, typename T>
void subtract_rows(const Windows<T>& w, const T* ratios, const T* x, int64_t first, int64_t last,
                   T* dx) {
  std::vector<T> row_sums = w.make_row();
  const T* __restrict__ sums = row_sums.data();
  const T factor = T(2) * w.slope * w.beta;
  for (int64_t row = first; row < last; ++row) {
    w.template sum_rows<false>(ratios, row, row_sums);
    const T* __restrict__ in = x + row * w.row_length();
    T* __restrict__ out = dx + row * w.row_length();
    for (int64_t i = 0; i < w.row_length(); ++i) {
      out[i] -= factor * in[i] * w.template sum_columns<kSize>(sums, i);
    }
  }
}

void check_lrn_within(const at::Tensor& x, int64_t size) {
  check_lrn("lrn_within", x, size);
  TORCH_CHECK_VALUE(x.dim() == 4, "lrn_within: x must be (N, C, H, W), not ", x.sizes());
}

template <typename T>
Windows<T> windows(const at::Tensor& x, int64_t size, double alpha, double beta) {
  return {x.size(2), x.size(3), x.size(1), size,
          static_cast<T>(alpha / static_cast<double>(size * size)), static_cast<T>(beta)};
}

at::Tensor lrn_within(const at::Tensor& x, int64_t size, double alpha, double beta) {
  check_lrn_within(x, size);
  const at::Tensor from = channels_last_rows(x);
  at::Tensor to = at::empty_like(from);
  if (x.numel() == 0) return to.movedim(-1, 1);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "lrn_within", [&] {
    const auto w = windows<scalar_t>(x, size, alpha, beta);
    const scalar_t* in = from.const_data_ptr<scalar_t>();
    scalar_t* out = to.mutable_data_ptr<scalar_t>();
    with_constants<3>(w.size, w.beta, [&](auto window, auto three_quarters) {
      at::parallel_for(0, x.size(0) * w.height, 1, [&](int64_t first, int64_t last) {
        forward_rows<window(), three_quarters()>(w, in, first, last, out);
      });
    });
  });
  return to.movedim(-1, 1);
}

at::Tensor lrn_within_backward(const at::Tensor& grad, const at::Tensor& x, int64_t size,
                               double alpha, double beta) {
  check_lrn_within(x, size);
  check_alike("lrn_within_backward", "grad is", grad, "x is", x);
  const at::Tensor from = channels_last_rows(x), gradient = channels_last_rows(grad);
  at::Tensor to = at::empty_like(from), ratios = at::empty_like(from);
  if (x.numel() == 0) return to.movedim(-1, 1);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "lrn_within_backward", [&] {
    const auto w = windows<scalar_t>(x, size, alpha, beta);
    const scalar_t* in = from.const_data_ptr<scalar_t>();
    const scalar_t* g = gradient.const_data_ptr<scalar_t>();
    scalar_t* ratio = ratios.mutable_data_ptr<scalar_t>();
    scalar_t* out = to.mutable_data_ptr<scalar_t>();
    with_constants<3>(w.size, w.beta, [&](auto window, auto three_quarters) {
      const int64_t rows = x.size(0) * w.height;
      at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
        ratio_rows<window(), three_quarters()>(w, g, in, first, last, ratio, out);
      });
      at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
        subtract_rows<window()>(w, ratio, in, first, last, out);
      });
    });
  });
  return to.movedim(-1, 1);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def("lrn_within(Tensor x, int size, float alpha, float beta) -> Tensor");
  m.def(
      "lrn_within_backward(Tensor grad, Tensor x, int size, float alpha, float beta) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("lrn_within", &lrn_within);
  m.impl("lrn_within_backward", &lrn_within_backward);
}

}  // namespace caffe_fast_rcnn
