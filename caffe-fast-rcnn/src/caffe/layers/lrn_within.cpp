// Local response normalisation within each channel (Caffe, lrn_layer, WITHIN_CHANNEL):
// y = x * (1 + alpha / size^2 * sum of x^2 over size x size pixels) ^ -beta; pixels beyond the
// border are zeros.
//
// The CPU kernels take one image row of all channels at a time (channels_last): first sums over the
// rows of the window, which the second-level cache holds, then over its columns. Every inner loop
// runs over neighbouring numbers, and every map is read and written once.
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

  // The first and the last row of the same image within reach of row number `row`; rows are counted
  // over all images.
  int64_t first_near(int64_t row) const { return std::max(row - reach(), row / height * height); }
  int64_t last_near(int64_t row) const {
    return std::min(row + reach(), (row / height + 1) * height - 1);
  }

  // sums[i], inside its margins: the numbers (kSquare: their squares) at place i of the rows within
  // reach of `row`. numbers(r): where those of row r are.
  template <bool kSquare, typename Numbers>
  void sum_rows(Numbers&& numbers, int64_t row, std::vector<T>& sums) const {
    T* __restrict__ out = sums.data() + margin();
    std::fill(out, out + row_length(), T(0));
    for (int64_t r = first_near(row); r <= last_near(row); ++r) {
      const T* __restrict__ in = numbers(r);
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
  const auto row_of_x = [&](int64_t r) { return x + r * w.row_length(); };
  for (int64_t row = first; row < last; ++row) {
    w.template sum_rows<true>(row_of_x, row, row_sums);
    const T* __restrict__ in = row_of_x(row);
    T* __restrict__ out = y + row * w.row_length();
#pragma omp simd
    for (int64_t i = 0; i < w.row_length(); ++i) {
      const T scale = T(1) + w.slope * w.template sum_columns<kSize>(sums, i);
      out[i] = in[i] * negative_power<T, kThreeQuarters>(scale, w.beta);
    }
  }
}

// The last rows of a map: as many as a window is high.
template <typename T>
class LastRows {
 public:
  explicit LastRows(const Windows<T>& w)
      : count_(w.size), length_(w.row_length()), numbers_(count_ * length_) {}
  T* operator()(int64_t row) { return numbers_.data() + row % count_ * length_; }

 private:
  const int64_t count_, length_;
  std::vector<T> numbers_;
};

// dx = g * scale^-beta - 2 alpha beta / size^2 * x * sum of g * y / scale over the window.
template <int kSize, bool kThreeQuarters, typename T>
class BackwardRows {
 public:
  BackwardRows(const Windows<T>& w, const T* g, const T* x, T* dx)
      : w_(w), g_(g), x_(x), dx_(dx), row_sums_(w.make_row()), powers_(w), ratios_(w) {}

  void run(int64_t first, int64_t last) {
    int64_t next = 0;  // the first row whose ratios are not known
    for (int64_t row = first; row < last; ++row) {
      next = std::max(next, w_.first_near(row));
      for (; next <= w_.last_near(row); ++next) find_ratios(next);
      write_gradient(row);
    }
  }

 private:
  // powers = g * scale^-beta, ratios = g * y / scale
  void find_ratios(int64_t row) {
    w_.template sum_rows<true>([&](int64_t r) { return x_ + r * w_.row_length(); }, row, row_sums_);
    const int64_t start = row * w_.row_length();
    const T* __restrict__ sums = row_sums_.data();
    const T* __restrict__ in = x_ + start;
    const T* __restrict__ grad = g_ + start;
    T* __restrict__ power = powers_(row);
    T* __restrict__ ratio = ratios_(row);
#pragma omp simd
    for (int64_t i = 0; i < w_.row_length(); ++i) {
      const T scale = T(1) + w_.slope * w_.template sum_columns<kSize>(sums, i);
      power[i] = grad[i] * negative_power<T, kThreeQuarters>(scale, w_.beta);
      ratio[i] = in[i] * power[i] / scale;
    }
  }

  void write_gradient(int64_t row) {
    w_.template sum_rows<false>(ratios_, row, row_sums_);
    const int64_t start = row * w_.row_length();
    const T factor = T(2) * w_.slope * w_.beta;
    const T* __restrict__ sums = row_sums_.data();
    const T* __restrict__ in = x_ + start;
    const T* __restrict__ power = powers_(row);
    T* __restrict__ out = dx_ + start;
#pragma omp simd
    for (int64_t i = 0; i < w_.row_length(); ++i) {
      out[i] = power[i] - factor * in[i] * w_.template sum_columns<kSize>(sums, i);
    }
  }

  const Windows<T> w_;
  const T* const g_;
  const T* const x_;
  T* const dx_;
  std::vector<T> row_sums_;
  LastRows<T> powers_, ratios_;
};

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
  at::Tensor to = at::empty_like(from);
  if (x.numel() == 0) return to.movedim(-1, 1);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "lrn_within_backward", [&] {
    const auto w = windows<scalar_t>(x, size, alpha, beta);
    const scalar_t* in = from.const_data_ptr<scalar_t>();
    const scalar_t* g = gradient.const_data_ptr<scalar_t>();
    scalar_t* out = to.mutable_data_ptr<scalar_t>();
    with_constants<3>(w.size, w.beta, [&](auto window, auto three_quarters) {
      at::parallel_for(0, x.size(0) * w.height, 1, [&](int64_t first, int64_t last) {
        BackwardRows<window(), three_quarters(), scalar_t>(w, g, in, out).run(first, last);
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
