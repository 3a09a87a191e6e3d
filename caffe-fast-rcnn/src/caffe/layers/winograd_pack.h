// What the operators of Winograd's convolution demand of their operands, and how weights are packed.
#pragma once

#include <ATen/ATen.h>

namespace caffe_fast_rcnn::winograd {

// A float32 or bfloat16 tensor on the CPU.
void check_operand(const char* op, const char* name, const at::Tensor& x);
// (O, C, 3, 3)
void check_weight(const char* op, const at::Tensor& weight);

// (O, C, 3, 3) -> ((tile + 2)^2, panels, C, kPanel), zeros beyond the last output; of bfloat16
// ((tile + 2)^2, panels, C / 2 rounded up, kPanel, 2), two channels side by side. `rotated`: for the
// gradient of the input, the kernel turned by half a turn, O and C exchanged.
at::Tensor pack(const at::Tensor& weight, int64_t tile, bool rotated);

}  // namespace caffe_fast_rcnn::winograd
