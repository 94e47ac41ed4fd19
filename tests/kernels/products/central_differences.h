#pragma once

#include <vector>

#include "tests/kernels/memory/owned_tensor.h"

namespace coe {

/// d loss() / d x for every element of x, which loss() reads.
template <class Loss>
std::vector<double> central_differences(const Floats& x, Loss loss) {
  constexpr float kStep = 0x1p-8F;
  std::vector<double> gradient;
  for (float& value : x) {
    const float before = value;
    value = before + kStep;
    const double up = loss(), high = value;
    value = before - kStep;
    gradient.push_back((up - loss()) / (high - value));
    value = before;
  }
  return gradient;
}

}  // namespace coe
