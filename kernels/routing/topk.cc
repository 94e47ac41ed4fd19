#include "kernels/routing/topk.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/memory/error.h"

namespace coe {
namespace {

bool finite_row(const float* row, std::int64_t n) {
  int finite = 1;
  for (std::int64_t i = 0; i < n; ++i)
    finite &= static_cast<int>(std::abs(row[i]) <= std::numeric_limits<float>::max());
  return finite != 0;
}

/// The k-th largest of the maxima of 16 interleaved parts of the row: the k-th largest score is no smaller.
float floor_of_best(const float* row, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kLanes = 16;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (k > kLanes || n < 2 * kLanes) return -kInfinity;
  std::array<float, kLanes> largest;
  largest.fill(-kInfinity);
  for (std::int64_t i = 0; i + kLanes <= n; i += kLanes) {
#pragma GCC unroll 1  // so that it becomes one vector and not sixteen numbers
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      auto& held = largest[static_cast<std::size_t>(lane)];
      held = row[i + lane] > held ? row[i + lane] : held;
    }
  }
  std::array<std::int64_t, kLanes> above{};
  for (const float other : largest) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) above[lane] += other > largest[lane] ? 1 : 0;
  }
  float floor = kInfinity;
  for (std::size_t lane = 0; lane < kLanes; ++lane) floor = above[lane] < k ? std::min(floor, largest[lane]) : floor;
  return floor;
}

/// Keeps the best so far in `best`, largest first; what comes later goes behind its equals.
void choose(const float* row, std::int64_t n, std::int32_t* best, std::int64_t k) {
  const float floor = floor_of_best(row, n, k);
  std::int64_t held = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (row[i] < floor || (held == k && row[i] <= row[best[k - 1]])) continue;
    std::int64_t place = held < k ? held++ : k - 1;
    for (; place > 0 && row[i] > row[best[place - 1]]; --place) best[place] = best[place - 1];
    best[place] = static_cast<std::int32_t>(i);
  }
  std::sort(best, best + k);
}

}  // namespace

void topk(const Tensor& scores, const Tensor& indices) {
  expect_rank("topk: scores", scores, 2);
  expect_rank("topk: indices", indices, 2);
  const std::int64_t rows = scores.extent(0), n = scores.extent(1), k = indices.extent(1);
  check(k >= 1 && k <= n, "topk: k is ", k, ", must be between 1 and the number of scores, ", n);
  expect_shape("topk: indices", indices, {rows, k});
  const float* values = scores.data<float>();
  auto* chosen = indices.data<std::int32_t>();
  for (std::int64_t row = 0; row < rows; ++row) {
    check(finite_row(values + row * n, n), "topk: row ", row, " of scores has a number that is not finite");
    choose(values + row * n, n, chosen + row * k, k);
  }
}

}  // namespace coe
