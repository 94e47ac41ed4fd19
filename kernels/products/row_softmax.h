#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/products/exp.h"
#include "kernels/products/ordered_sum.h"

namespace coe {

/// The largest of n numbers, -infinity of none; NaN may be passed over.
inline float row_max(const float* x, std::int64_t n) {
  constexpr std::int64_t kLanes = 16;
  const auto larger = [](float value, float other) { return value > other ? value : other; };
  std::array<float, kLanes> largest;
  largest.fill(-std::numeric_limits<float>::infinity());
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#pragma GCC unroll 1  // so that it becomes one vector and not sixteen numbers
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      auto& held = largest[static_cast<std::size_t>(lane)];
      held = larger(x[i + lane], held);
    }
  }
  for (std::size_t lane = 0; i < n; ++i, ++lane) largest[lane] = larger(x[i], largest[lane]);
  for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) largest[lane] = larger(largest[lane + width], largest[lane]);
  }
  return largest[0];
}

/// p[i] = softmax(scale x)[i] for scale > 0; p may be x. Returns the log of the sum of e^(scale x[i]).
inline double row_softmax(const float* x, std::int64_t n, float scale, float* p) {
  const float largest = row_max(x, n);
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) p[i] = fast_exp((x[i] - largest) * scale);
  const float sum = ordered_sum(n, [=](std::int64_t i) { return p[i]; });
  const float inverse = 1.0F / sum;
  for (std::int64_t i = 0; i < n; ++i) p[i] *= inverse;
  return static_cast<double>(largest) * scale + std::log(static_cast<double>(sum));
}

/// What row_softmax(x, n, 1) returns, with the same bits.
inline double row_logsumexp(const float* x, std::int64_t n) {
  const float largest = row_max(x, n);
  const float sum = ordered_sum(n, [=](std::int64_t i) { return fast_exp(x[i] - largest); });
  return static_cast<double>(largest) + std::log(static_cast<double>(sum));
}

/// dx[i] = scale p[i] (dp[i] - <p, dp>): the gradient of x from that of p; dx may be dp.
inline void row_softmax_backward(const float* p, const float* dp, std::int64_t n, float scale, float* dx) {
  const float mean = ordered_dot(p, dp, n);
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) dx[i] = p[i] * (dp[i] - mean) * scale;
}

}  // namespace coe
