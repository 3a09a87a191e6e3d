// Greedy non-maximum suppression, plain or within groups (classes, images).
//
// The CPU kernel: boxes are visited in descending order of score, and a box stays unless it overlaps
// a box that stayed. Comparing with the kept boxes only, and stopping at the first hit, costs a
// fraction of the usual table of all pairs, and ends as soon as enough boxes are kept.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>
#include <limits>
#include <unordered_map>
#include <vector>

#include "checks.h"
#include "geometry.h"

namespace caffe_fast_rcnn {

void check_nms(const char* op, const at::Tensor& boxes, const at::Tensor& scores,
               const OptionalTensor& groups) {
  TORCH_CHECK_VALUE(boxes.dim() == 2 && boxes.size(1) == 4, op,
                    ": boxes must be (N, 4): x1, y1, x2, y2; not ", boxes.sizes());
  TORCH_CHECK_VALUE(boxes.scalar_type() == at::kFloat && scores.scalar_type() == at::kFloat, op,
                    ": boxes and scores must be float32, not ", boxes.scalar_type(), " and ",
                    scores.scalar_type());
  TORCH_CHECK_VALUE(scores.dim() == 1 && scores.size(0) == boxes.size(0), op, ": scores are ",
                    scores.sizes(), ", boxes are ", boxes.sizes());
  check_kind(op, "scores are", scores, "boxes are", boxes);
  if (groups) {
    TORCH_CHECK_VALUE(groups->dim() == 1 && groups->size(0) == boxes.size(0), op, ": groups are ",
                      groups->sizes(), ", boxes are ", boxes.sizes());
    TORCH_CHECK_VALUE(groups->scalar_type() == at::kLong, op, ": groups must be int64, not ",
                      groups->scalar_type());
    TORCH_CHECK_VALUE(groups->device() == boxes.device(), op, ": groups are on ",
                      groups->device(), ", boxes are on ", boxes.device());
  }
}

float nms_threshold(double thresh, bool inclusive) {
  const float nearest = static_cast<float>(thresh);
  const bool raise = inclusive ? static_cast<double>(nearest) < thresh : true;
  return raise ? std::nextafter(nearest, std::numeric_limits<float>::infinity()) : nearest;
}

namespace {

// The boxes kept so far, in columns. The columns end in boxes made of NaN, which overlap nothing,
// so that the comparison runs over whole blocks.
class KeptBoxes {
 public:
  void add(const Box& box, float area) {
    if (count_ == x1_.size()) {
      for (auto* column : {&x1_, &y1_, &x2_, &y2_, &area_}) {
        column->resize(count_ + kBlock, std::numeric_limits<float>::quiet_NaN());
      }
    }
    x1_[count_] = box.x1;
    y1_[count_] = box.y1;
    x2_[count_] = box.x2;
    y2_[count_] = box.y2;
    area_[count_] = area;
    ++count_;
  }

  bool overlap_any(const Box& box, float area, float threshold) const {
    for (size_t first = 0; first < count_; first += kBlock) {
      int hits = 0;
      for (size_t k = first; k < first + kBlock; ++k) {
        const Box kept{x1_[k], y1_[k], x2_[k], y2_[k]};
        hits |= overlap(kept, area_[k], box, area) >= threshold;
      }
      if (hits) return true;
    }
    return false;
  }

 private:
  static constexpr size_t kBlock = 32;
  size_t count_ = 0;
  std::vector<float> x1_, y1_, x2_, y2_, area_;
};

at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, const OptionalTensor& groups,
               double thresh, bool inclusive, int64_t max_keep) {
  check_nms("nms", boxes, scores, groups);
  const at::Tensor rows = boxes.contiguous();
  const at::Tensor order = std::get<1>(scores.sort(/*stable=*/true, 0, /*descending=*/true));
  const at::Tensor group_of = groups ? groups->contiguous() : at::Tensor();
  const Box* box = reinterpret_cast<const Box*>(rows.const_data_ptr<float>());
  const int64_t* rank = order.const_data_ptr<int64_t>();
  const int64_t* group = groups ? group_of.const_data_ptr<int64_t>() : nullptr;
  const float threshold = nms_threshold(thresh, inclusive);
  const size_t limit = max_keep < 0 ? boxes.size(0) : max_keep;

  std::unordered_map<int64_t, KeptBoxes> kept_in;
  std::vector<int64_t> keep;
  for (int64_t i = 0; i < boxes.size(0) && keep.size() < limit; ++i) {
    const int64_t row = rank[i];
    const float area = box_area(box[row]);
    KeptBoxes& kept = kept_in[group ? group[row] : 0];
    if (kept.overlap_any(box[row], area, threshold)) continue;
    kept.add(box[row], area);
    keep.push_back(row);
  }
  return at::tensor(keep, boxes.options().dtype(at::kLong));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "nms(Tensor boxes, Tensor scores, Tensor? groups, float thresh, bool inclusive, "
      "int max_keep) -> Tensor");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("nms", &nms); }

}  // namespace caffe_fast_rcnn
