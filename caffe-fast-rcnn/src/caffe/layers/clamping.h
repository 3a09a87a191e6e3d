// What the operators of test nets do to a result on its way out.
#pragma once

#include "vectors.h"

namespace caffe_fast_rcnn {

// Results below `low` become low, those above `high` high; NaN stays NaN.
struct Limits {
  float low, high;

  Vector of(Vector v) const {
    v = v < splat(low) ? splat(low) : v;
    return v > splat(high) ? splat(high) : v;
  }
};

}  // namespace caffe_fast_rcnn
