#pragma once

#include "kernels/memory/tensor.h"

namespace coe {

/// A weight and where its gradient adds up (empty where nothing is trained); views Parameters.
struct TrainedTensor {
  Tensor value, gradient;
};

}  // namespace coe
