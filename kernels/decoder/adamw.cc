#include "kernels/decoder/adamw.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "kernels/memory/error.h"
#include "kernels/products/ordered_sum.h"

namespace coe {
namespace {

AdamWFactors factors_of(const AdamW& options) {
  if (options.step < 1) fail(ErrorCode::kInternal, "adamw: step is ", options.step, ", must be at least 1");
  const auto correction = [&](float beta) { return 1.0 - std::pow(static_cast<double>(beta), options.step); };
  return {.gradient_scale = options.gradient_scale,
          .toward_slope = 1.0F - options.beta1,
          .beta2 = options.beta2,
          .toward_square = 1.0F - options.beta2,
          .inverse_root = static_cast<float>(1.0 / std::sqrt(correction(options.beta2))),
          .eps = options.eps,
          .step_size = static_cast<float>(options.learning_rate / correction(options.beta1)),
          .decay = 1.0F - options.learning_rate * options.weight_decay};
}

void expect_alike(const Tensor& gradient, const Tensor& weight, const Tensor& m, const Tensor& v) {
  expect_shape("adamw: gradient", gradient, weight.shape());
  expect_shape("adamw: m", m, weight.shape());
  expect_shape("adamw: v", v, weight.shape());
}

/// Throws kInternal unless offsets ascend from 0 to n.
void expect_tensors(std::span<const std::int64_t> offsets, std::int64_t n) {
  if (offsets.front() != 0 || offsets.back() != n || !std::ranges::is_sorted(offsets)) {
    fail(ErrorCode::kInternal, "adamw: offsets go from ", offsets.front(), " to ", offsets.back(),
         ", must ascend from 0 to ", n);
  }
}

}  // namespace

void adamw(const AdamW& options, const Tensor& gradient, const Tensor& weight, const Tensor& m, const Tensor& v) {
  expect_alike(gradient, weight, m, v);
  const AdamWFactors by = factors_of(options);
  const std::int64_t n = weight.elements();
  const float* g = gradient.data<float>();
  auto *w = weight.data<float>(), *mean = m.data<float>(), *square = v.data<float>();
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    const float slope = g[i] * by.gradient_scale;
    mean[i] += (slope - mean[i]) * by.toward_slope;
    square[i] = square[i] * by.beta2 + slope * slope * by.toward_square;
    w[i] = w[i] * by.decay - by.step_size * (mean[i] / (std::sqrt(square[i]) * by.inverse_root + by.eps));
  }
}

double sum_of_squares(const Tensor& x) {
  const float* values = x.data<float>();
  OrderedSum<double> sum;
  sum.add(x.elements(), [=](std::int64_t i) { return static_cast<double>(values[i]) * values[i]; });
  return sum.total();
}

void adamw(const AdamW& options, const Tensor& offsets, const Tensor& decayed, const Tensor& gradient,
           const Tensor& weight, const Tensor& m, const Tensor& v, const Tensor& rounded, const Stream& stream) {
  expect_rank("adamw: weight", weight, 1);
  expect_alike(gradient, weight, m, v);
  expect_rank("adamw: decayed", decayed, 1);
  const std::int64_t tensors = decayed.extent(0);
  expect_shape("adamw: offsets", offsets, {tensors + 1});
  if (rounded.elements() > 0) expect_shape("adamw: rounded", rounded, weight.shape());
  if (!weight.on_host()) {
    return cuda::adamw(factors_of(options), offsets, decayed, gradient, weight, m, v, rounded, stream);
  }
  const auto begins = offsets.span<std::int64_t>();
  expect_tensors(begins, weight.elements());
  AdamW undecayed = options;
  undecayed.weight_decay = 0;
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    const auto part = [&](const Tensor& x) { return x.rows(begins[i], begins[i + 1] - begins[i]); };
    adamw(decayed.data<std::uint8_t>()[i] != 0 ? options : undecayed, part(gradient), part(weight), part(m), part(v));
  }
  if (rounded.elements() > 0) std::ranges::transform(weight.span<float>(), rounded.data<Bf16>(), to_bf16);
}

void sum_of_squares(const Tensor& x, const Tensor& sum, Arena& arena, const Stream& stream) {
  expect_shape("sum_of_squares: sum", sum, {1});
  if (x.on_host()) {
    *sum.data<double>() = sum_of_squares(x);
    return;
  }
  ArenaScope scratch(arena);
  cuda::sum_of_squares(x, sum, arena.make<double>({cuda::kSquareParts}), stream);
}

}  // namespace coe
