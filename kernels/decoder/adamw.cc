#include "kernels/decoder/adamw.h"

#include <algorithm>
#include <cmath>

#include "kernels/memory/error.h"
#include "kernels/products/ordered_sum.h"

namespace coe {

void adamw(const AdamW& options, const Tensor& gradient, const Tensor& weight, const Tensor& m, const Tensor& v) {
  expect_shape("adamw: gradient", gradient, weight.shape());
  expect_shape("adamw: m", m, weight.shape());
  expect_shape("adamw: v", v, weight.shape());
  if (options.step < 1) fail(ErrorCode::kInternal, "adamw: step is ", options.step, ", must be at least 1");
  const auto correction = [&](float beta) { return 1.0 - std::pow(static_cast<double>(beta), options.step); };
  const auto step_size = static_cast<float>(options.learning_rate / correction(options.beta1));
  const auto inverse_root = static_cast<float>(1.0 / std::sqrt(correction(options.beta2)));
  const float decay = 1.0F - options.learning_rate * options.weight_decay;
  const std::int64_t n = weight.elements();
  const float* g = gradient.data<float>();
  auto *w = weight.data<float>(), *mean = m.data<float>(), *square = v.data<float>();
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    const float slope = g[i] * options.gradient_scale;
    mean[i] += (slope - mean[i]) * (1.0F - options.beta1);
    square[i] = square[i] * options.beta2 + slope * slope * (1.0F - options.beta2);
    w[i] = w[i] * decay - step_size * (mean[i] / (std::sqrt(square[i]) * inverse_root + options.eps));
  }
}

double sum_of_squares(const Tensor& x) {
  const float* values = x.data<float>();
  OrderedSum<double> sum;
  sum.add(x.elements(), [=](std::int64_t i) { return static_cast<double>(values[i]) * values[i]; });
  return sum.total();
}

}  // namespace coe
