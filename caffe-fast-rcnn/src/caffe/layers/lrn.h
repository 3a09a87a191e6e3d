// What the two local response normalisations share: the demands on their operands, and loops that
// know the usual windows and exponents when they are compiled.
#pragma once

#include <ATen/ATen.h>

#include <type_traits>

#include "checks.h"

namespace caffe_fast_rcnn {

// Of x and the size of the window over it.
inline void check_lrn(const char* op, const at::Tensor& x, int64_t size) {
  check_real(op, "x", x);
  TORCH_CHECK_VALUE(size > 0 && size % 2 == 1, op, ": size must be odd, not ", size);
}

// Calls run(size, three_quarters): the window's size and whether the exponent is 3/4, as types whose
// values are constants. Size 0 stands for one that is none of kSizes.
template <int... kSizes, typename T, typename Run>
void with_constants(int64_t size, T beta, const Run& run) {
  const auto with_exponent = [&](auto window) {
    if (beta == T(0.75)) {
      run(window, std::true_type());
    } else {
      run(window, std::false_type());
    }
  };
  const auto is_this = [&](auto window) {
    if (size == window()) with_exponent(window);
    return size == window();
  };
  if (!(is_this(std::integral_constant<int, kSizes>()) || ...)) {
    with_exponent(std::integral_constant<int, 0>());
  }
}

}  // namespace caffe_fast_rcnn
