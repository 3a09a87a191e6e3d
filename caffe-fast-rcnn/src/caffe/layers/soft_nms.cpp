// Soft non-maximum suppression (Bodla et al. 2017), plain or within groups (classes, images): boxes
// that overlap a better one lose score instead of being dropped.
//
// One box after the other, so there is a kernel for the CPU only; groups run side by side.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <vector>

#include "checks.h"
#include "geometry.h"

namespace caffe_fast_rcnn {
namespace {

struct Candidate {
  Box box;
  float area, score;
  int64_t row;

  // Equal scores keep the order of the rows.
  bool comes_before(const Candidate& other) const {
    return score > other.score || (score == other.score && row < other.row);
  }
};

struct SoftRule {
  float thresh, sigma, score_thresh;
  bool gaussian;

  // What is left of a score beside a better box.
  float factor(float iou) const {
    if (gaussian) return iou > 0 ? std::exp(-(iou * iou) / sigma) : 1.0f;
    return iou >= thresh ? 1.0f - iou : 1.0f;
  }
};

// Moves boxes from `rest` to `kept`, best first, until no score is high enough.
void soften(const SoftRule& rule, std::vector<Candidate>& rest, std::vector<Candidate>& kept) {
  const auto too_low = [&](const Candidate& c) { return !(c.score >= rule.score_thresh); };
  const auto before = [](const Candidate& a, const Candidate& b) { return a.comes_before(b); };
  std::erase_if(rest, too_low);
  while (!rest.empty()) {
    const auto place = std::min_element(rest.begin(), rest.end(), before);
    const Candidate best = *place;
    kept.push_back(best);
    *place = rest.back();
    rest.pop_back();
    for (Candidate& other : rest) {
      other.score *= rule.factor(overlap(best.box, best.area, other.box, other.area));
    }
    std::erase_if(rest, too_low);
  }
}

std::vector<std::vector<Candidate>> candidates(const at::Tensor& boxes, const at::Tensor& scores,
                                               const OptionalTensor& groups) {
  const at::Tensor rows = boxes.contiguous(), values = scores.contiguous();
  const at::Tensor group_of = groups ? groups->contiguous() : at::Tensor();
  const Box* box = reinterpret_cast<const Box*>(rows.const_data_ptr<float>());
  const float* score = values.const_data_ptr<float>();
  const int64_t* group = groups ? group_of.const_data_ptr<int64_t>() : nullptr;
  std::map<int64_t, std::vector<Candidate>> by_group;
  for (int64_t i = 0; i < boxes.size(0); ++i) {
    by_group[group ? group[i] : 0].push_back({box[i], box_area(box[i]), score[i], i});
  }
  std::vector<std::vector<Candidate>> lists;
  for (auto& entry : by_group) lists.push_back(std::move(entry.second));
  return lists;
}

std::tuple<at::Tensor, at::Tensor> soft_nms(const at::Tensor& boxes, const at::Tensor& scores,
                                            const OptionalTensor& groups, bool gaussian,
                                            double thresh, double sigma, double score_thresh) {
  check_nms("soft_nms", boxes, scores, groups);
  TORCH_CHECK_VALUE(sigma > 0, "soft_nms: sigma must be > 0, not ", sigma);
  const SoftRule rule{nms_threshold(thresh, /*inclusive=*/true), static_cast<float>(sigma),
                      static_cast<float>(score_thresh), gaussian};
  std::vector<std::vector<Candidate>> lists = candidates(boxes, scores, groups);
  std::vector<std::vector<Candidate>> kept(lists.size());
  at::parallel_for(0, static_cast<int64_t>(lists.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t g = first; g < last; ++g) soften(rule, lists[g], kept[g]);
  });
  std::vector<Candidate> all;
  for (const auto& list : kept) all.insert(all.end(), list.begin(), list.end());
  std::sort(all.begin(), all.end(),
            [](const Candidate& a, const Candidate& b) { return a.comes_before(b); });
  at::Tensor keep = at::empty({static_cast<int64_t>(all.size())}, boxes.options().dtype(at::kLong));
  at::Tensor softened = at::empty({keep.size(0)}, scores.options());
  for (size_t i = 0; i < all.size(); ++i) {
    keep.mutable_data_ptr<int64_t>()[i] = all[i].row;
    softened.mutable_data_ptr<float>()[i] = all[i].score;
  }
  return {keep, softened};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.def(
      "soft_nms(Tensor boxes, Tensor scores, Tensor? groups, bool gaussian, float thresh, "
      "float sigma, float score_thresh) -> (Tensor keep, Tensor scores)");
}

TORCH_LIBRARY_IMPL(caffe_fast_rcnn, CPU, m) { m.impl("soft_nms", &soft_nms); }

}  // namespace caffe_fast_rcnn
