#pragma once

#include <cstdint>

#include "kernels/memory/tensor.h"

namespace coe {

struct AdamW {
  float learning_rate = 1e-3F, beta1 = 0.9F, beta2 = 0.95F, eps = 1e-8F, weight_decay = 0.0F;
  float gradient_scale = 1.0F;  ///< What clipping multiplies gradients by.
  std::int64_t step = 1;        ///< Counts from 1, for bias correction.
};

/// One AdamW step (Loshchilov and Hutter 2019, algorithm 2: decoupled decay, bias correction) in place on weight, m, v;
/// all of one shape.
void adamw(const AdamW& options, const Tensor& gradient, const Tensor& weight, const Tensor& m, const Tensor& v);

/// Sum of squares in double, in an order that depends on the number of elements alone.
double sum_of_squares(const Tensor& x);

}  // namespace coe
