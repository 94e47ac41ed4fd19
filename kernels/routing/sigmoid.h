#pragma once

#include "kernels/memory/tensor.h"

namespace coe {

/// s = 1 / (1 + e^-logits), both fp32 [T, N]; s may be logits itself. sum [T] becomes the sum of each row of s.
void sigmoid(const Tensor& logits, const Tensor& s, const Tensor& sum);

/// dlogits = s (1 - s) ds; all [T, N]; dlogits may be ds itself.
void sigmoid_backward(const Tensor& s, const Tensor& ds, const Tensor& dlogits);

}  // namespace coe
