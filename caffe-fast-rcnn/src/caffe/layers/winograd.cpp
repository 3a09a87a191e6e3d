// Convolution, 3 x 3 with stride 1, by Winograd's algorithm F(m, 3) in both axes (Lavin and Gray
// 2015): a tile of m x m outputs takes (m + 2)^2 products per pair of channels instead of 9 m^2.
//
// Threads take blocks of tiles, whose transformed inputs and products stay in the caches. Every
// output is the same sum in the same order, however many threads, tiles and images there are.
#include "winograd.h"

#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <optional>

#include "winograd_block.h"
#include "winograd_pack.h"

namespace caffe_fast_rcnn::winograd {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

struct Padding {
  int64_t height, width;
};

void check_padding(const char* op, Padding pad) {
  TORCH_CHECK_VALUE(pad.height >= 0 && pad.width >= 0, op, ": padding must not be negative, not ",
                    pad.height, ", ", pad.width);
}

int64_t tile_of(const char* op, const at::Tensor& packed) {
  check_operand(op, "packed", packed);
  const int64_t axes = packed.scalar_type() == at::kFloat ? 4 : 5;
  const int64_t positions =
      packed.dim() == axes && packed.size(3) == kPanel && (axes == 4 || packed.size(4) == 2)
          ? packed.size(0)
          : 0;
  TORCH_CHECK_VALUE(positions == 16 || positions == 36 || positions == 64, op,
                    ": packed must come from winograd_pack, not be ", packed.sizes());
  return positions == 16 ? 2 : positions == 36 ? 4 : 6;
}

// The shape of the result.
std::array<int64_t, 4> check_conv(const char* op, const at::Tensor& x, const at::Tensor& packed,
                                  int64_t outputs, const OptionalTensor& bias, Padding pad) {
  check_operand(op, "x", x);
  TORCH_CHECK_VALUE(x.dim() == 4, op, ": x must be (N, C, H, W), not ", x.sizes());
  TORCH_CHECK_VALUE(x.scalar_type() == packed.scalar_type(), op, ": x is ", x.scalar_type(),
                    ", the weights are ", packed.scalar_type());
  const int64_t depth = packed.dim() - 3;  // channels of a row
  TORCH_CHECK_VALUE((x.size(1) + depth - 1) / depth == packed.size(2), op, ": x is ", x.sizes(),
                    ", the weights are for ", packed.size(2) * depth, " channels");
  TORCH_CHECK_VALUE((outputs + kPanel - 1) / kPanel == packed.size(1), op, ": packed has ",
                    packed.size(1) * kPanel, " outputs, which are not ", outputs, " rounded up");
  if (bias) {
    check_operand(op, "bias", *bias);
    TORCH_CHECK_VALUE(bias->dim() == 1 && bias->size(0) == outputs, op, ": bias must be (",
                      outputs, ",), not ", bias->sizes());
  }
  const int64_t height = x.size(2) + 2 * pad.height - 2, width = x.size(3) + 2 * pad.width - 2;
  TORCH_CHECK_VALUE(height > 0 && width > 0, op, ": the kernel does not fit into x ", x.sizes(),
                    " with padding ", pad.height, ", ", pad.width);
  return {x.size(0), outputs, height, width};
}

Map map_of(const at::Tensor& x) {
  return {x.size(0),   x.size(2),   x.size(3),  x.size(1),
          x.stride(0), x.stride(2), x.stride(3)};
}

bool has_neighbouring_channels(const at::Tensor& x) { return x.stride(1) == 1 || x.size(1) == 1; }

// Itself where the channels of a pixel are neighbours, else a channels_last copy.
at::Tensor with_neighbouring_channels(const at::Tensor& x) {
  return has_neighbouring_channels(x) ? x : x.contiguous(at::MemoryFormat::ChannelsLast);
}

struct Panels {
  int64_t first, count;
};

// How the work is cut: tiles into blocks, panels of outputs into batches, as equal as can be.
struct Plan {
  static constexpr int64_t kMostTiles = 8 * kRows, kMostPanels = 4;
  int64_t tiles, blocks, panels, batches, threads;

  template <typename Number>
  Plan(const Convolution<Number>& work, int64_t outputs) {
    tiles = work.to.images * ((work.to.height + outputs - 1) / outputs) *
            ((work.to.width + outputs - 1) / outputs);
    threads = std::max<int64_t>(at::get_num_threads(), 1);
    blocks = (tiles + kMostTiles - 1) / kMostTiles;
    panels = work.panels();
    batches = (panels + kMostPanels - 1) / kMostPanels;
    if (is_small()) batches = std::min(rounded_up(batches, threads), panels);
  }

  // Whether there are too few tiles for every thread to have blocks of its own.
  bool is_small() const { return threads > 1 && blocks < threads; }

  Range block(int64_t b) const { return {tiles * b / blocks, tiles * (b + 1) / blocks}; }
  int64_t most_tiles() const { return (tiles + blocks - 1) / blocks; }
  Panels batch(int64_t b) const {
    const int64_t first = panels * b / batches;
    return {first, panels * (b + 1) / batches - first};
  }
  int64_t most_panels() const { return (panels + batches - 1) / batches; }
};

// The memory of transformed inputs and of products.
template <typename Number>
class Scratch {
 public:
  Scratch(int64_t numbers, int64_t floats)
      : inputs_(at::empty({numbers * int64_t{sizeof(Number)}}, at::kByte)),
        products_(at::empty({floats}, at::kFloat)) {}

  Number* inputs() const { return reinterpret_cast<Number*>(inputs_.mutable_data_ptr<uint8_t>()); }
  float* products() const { return products_.mutable_data_ptr<float>(); }

 private:
  const at::Tensor inputs_, products_;
};

// Every thread transforms, multiplies and transforms back blocks of its own.
template <int kOutputs, typename Number>
void convolve_blocks(const Convolution<Number>& work, Plan plan) {
  plan.blocks = std::min(rounded_up(plan.blocks, plan.threads), plan.tiles);
  const int64_t workers = std::min(plan.threads, plan.blocks), tiles = plan.most_tiles();
  const Block block{work.from.channels, plan.most_panels(), Tile<kOutputs>::kPositions, tiles,
                    tiles};
  Scratch<Number> scratch(workers * block.input_numbers(), workers * block.product_floats());
  at::parallel_for(0, workers, 1, [&](int64_t first, int64_t last) {
    for (int64_t w = first; w < last; ++w) {
      BlockWorker<kOutputs, Number> worker(work, block,
                                           scratch.inputs() + w * block.input_numbers(),
                                           scratch.products() + w * block.product_floats());
      for (int64_t b = w; b < plan.blocks; b += workers) {
        worker.transform_inputs(plan.block(b), 0);
        for (int64_t batch = 0; batch < plan.batches; ++batch) {
          const Panels part = plan.batch(batch);
          worker.convolve(plan.block(b), 0, part.first, part.count);
        }
      }
    }
  });
}

// All threads transform the inputs, and then divide the outputs among themselves, so that the
// weights, of which a small map makes little use, are read once.
template <int kOutputs, typename Number>
void convolve_together(const Convolution<Number>& work, const Plan& plan) {
  const Block block{work.from.channels, plan.most_panels(), Tile<kOutputs>::kPositions, plan.tiles,
                    plan.most_tiles()};
  const int64_t items = plan.batches * plan.blocks, workers = std::min(plan.threads, items);
  Scratch<Number> scratch(block.input_numbers(), workers * block.product_floats());
  at::parallel_for(0, plan.tiles, 1, [&](int64_t first, int64_t last) {
    BlockWorker<kOutputs, Number> worker(work, block, scratch.inputs(), nullptr);
    worker.transform_inputs({first, last}, first);
  });
  at::parallel_for(0, workers, 1, [&](int64_t first, int64_t last) {
    for (int64_t w = first; w < last; ++w) {
      BlockWorker<kOutputs, Number> worker(work, block, scratch.inputs(),
                                           scratch.products() + w * block.product_floats());
      for (int64_t item = items * w / workers; item < items * (w + 1) / workers; ++item) {
        const Range tiles = plan.block(item % plan.blocks);
        const Panels part = plan.batch(item / plan.blocks);
        worker.convolve(tiles, tiles.first, part.first, part.count);
      }
    }
  });
}

template <int kOutputs, typename Number>
void convolve(const Convolution<Number>& work) {
  const Plan plan(work, kOutputs);
  plan.is_small() ? convolve_together<kOutputs>(work, plan)
                  : convolve_blocks<kOutputs>(work, plan);
}

template <typename Number>
void convolve(const Convolution<Number>& work, int64_t tile) {
  tile == 2 ? convolve<2>(work) : tile == 4 ? convolve<4>(work) : convolve<6>(work);
}

template <typename Number>
const Number* numbers(const at::Tensor& x) {
  return static_cast<const Number*>(x.const_data_ptr());
}

// Everything is checked.
template <typename Number>
void run(const at::Tensor& x, const at::Tensor& packed, int64_t tile, const OptionalTensor& bias,
         Padding pad, bool relu, const OptionalTensor& residual, const at::Tensor& out) {
  const at::Tensor from = with_neighbouring_channels(x), weights = packed.contiguous();
  const at::Tensor added = residual ? with_neighbouring_channels(*residual) : at::Tensor();
  const at::Tensor addend = bias ? bias->to(at::kFloat).contiguous() : at::Tensor();
  const Convolution<Number> work{map_of(from),
                                 map_of(out),
                                 residual ? map_of(added) : Map{},
                                 pad.height,
                                 pad.width,
                                 numbers<Number>(from),
                                 numbers<Number>(weights),
                                 bias ? addend.const_data_ptr<float>() : nullptr,
                                 residual ? numbers<Number>(added) : nullptr,
                                 static_cast<Number*>(out.mutable_data_ptr()),
                                 relu};
  convolve(work, tile);
}

void run(const at::Tensor& x, const at::Tensor& packed, int64_t tile, const OptionalTensor& bias,
         Padding pad, bool relu, const OptionalTensor& residual, const at::Tensor& out) {
  if (out.numel() == 0) return;
  x.scalar_type() == at::kFloat ? run<float>(x, packed, tile, bias, pad, relu, residual, out)
                                : run<Bfloat>(x, packed, tile, bias, pad, relu, residual, out);
}

// A map of the type of x.
void check_map(const char* op, const char* name, const at::Tensor& map, at::IntArrayRef shape,
               const at::Tensor& x) {
  check_operand(op, name, map);
  TORCH_CHECK_VALUE(map.scalar_type() == x.scalar_type(), op, ": ", name, " is ",
                    map.scalar_type(), ", x is ", x.scalar_type());
  TORCH_CHECK_VALUE(map.sizes() == shape, op, ": ", name, " must be ", shape, ", not ",
                    map.sizes());
}

at::Tensor convolved(const char* op, const at::Tensor& x, const at::Tensor& packed,
                     int64_t outputs, const OptionalTensor& bias, Padding pad, bool relu,
                     const OptionalTensor& residual) {
  const int64_t tile = tile_of(op, packed);
  const auto shape = check_conv(op, x, packed, outputs, bias, pad);
  if (residual) check_map(op, "residual", *residual, shape, x);
  at::Tensor out = at::empty(shape, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  run(x, packed, tile, bias, pad, relu, residual, out);
  return out;
}

at::Tensor winograd_conv(const at::Tensor& x, const at::Tensor& packed, int64_t out_channels,
                         const OptionalTensor& bias, int64_t pad_h, int64_t pad_w, bool relu,
                         const OptionalTensor& residual) {
  constexpr const char* op = "winograd_conv";
  check_padding(op, {pad_h, pad_w});
  return convolved(op, x, packed, out_channels, bias, {pad_h, pad_w}, relu, residual);
}

void winograd_conv_out(const at::Tensor& x, const at::Tensor& packed, int64_t out_channels,
                       const OptionalTensor& bias, int64_t pad_h, int64_t pad_w, bool relu,
                       const OptionalTensor& residual, const at::Tensor& out) {
  constexpr const char* op = "winograd_conv";
  check_padding(op, {pad_h, pad_w});
  const int64_t tile = tile_of(op, packed);
  const auto shape = check_conv(op, x, packed, out_channels, bias, {pad_h, pad_w});
  if (residual) check_map(op, "residual", *residual, shape, x);
  check_map(op, "out", out, shape, x);
  TORCH_CHECK_VALUE(has_neighbouring_channels(out), op, ": out must be channels_last, not have the "
                    "strides ", out.strides());
  const at::MemOverlapStatus overlap = at::get_overlap_status(x, out);
  TORCH_CHECK_VALUE(overlap != at::MemOverlapStatus::Full &&
                        overlap != at::MemOverlapStatus::Partial,
                    op, ": out shares memory with x");
  run(x, packed, tile, bias, {pad_h, pad_w}, relu, residual, out);
}

at::Tensor winograd_conv2d(const at::Tensor& x, const at::Tensor& weight,
                           const OptionalTensor& bias, int64_t pad_h, int64_t pad_w,
                           int64_t tile) {
  constexpr const char* op = "winograd_conv2d";
  check_weight(op, weight);
  check_padding(op, {pad_h, pad_w});
  return convolved(op, x, pack(weight, tile, false), weight.size(0), bias, {pad_h, pad_w}, false,
                   std::nullopt);
}

// The gradient of winograd_conv2d with respect to x: grad, convolved with the rotated kernels.
at::Tensor winograd_conv2d_backward(const at::Tensor& grad, const at::Tensor& weight,
                                    int64_t pad_h, int64_t pad_w, int64_t tile) {
  constexpr const char* op = "winograd_conv2d_backward";
  check_weight(op, weight);
  return convolved(op, grad, pack(weight, tile, true), weight.size(1), std::nullopt,
                   {2 - pad_h, 2 - pad_w}, false, std::nullopt);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "winograd_conv(Tensor x, Tensor packed, int out_channels, Tensor? bias, int pad_h, "
      "int pad_w, bool relu, Tensor? residual) -> Tensor");
  m.def(
      "winograd_conv_out(Tensor x, Tensor packed, int out_channels, Tensor? bias, int pad_h, "
      "int pad_w, bool relu, Tensor? residual, Tensor(a!) out) -> ()");
  m.def(
      "winograd_conv2d(Tensor x, Tensor weight, Tensor? bias, int pad_h, int pad_w, int tile) "
      "-> Tensor");
  m.def(
      "winograd_conv2d_backward(Tensor grad, Tensor weight, int pad_h, int pad_w, int tile) "
      "-> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) {
  m.impl("winograd_conv", &winograd_conv);
  m.impl("winograd_conv_out", &winograd_conv_out);
  m.impl("winograd_conv2d", &winograd_conv2d);
  m.impl("winograd_conv2d_backward", &winograd_conv2d_backward);
}

}  // namespace caffe_fast_rcnn::winograd
