#pragma once

#include <array>
#include <cstdint>

namespace coe {

/// Sums in an order that depends on the number of terms alone, and vectorises: term i joins partial sum i mod 16, and
/// the partial sums are folded in halves.
template <class Number>
class OrderedSum {
 public:
  static constexpr std::int64_t kLanes = 16;

  /// Adds term(0) to term(n - 1); of several calls, all but the last must have n divisible by kLanes.
  template <class Term>
  void add(std::int64_t n, Term term) {
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
#pragma GCC unroll 1  // so that it becomes one vector and not sixteen numbers
      for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes_[static_cast<std::size_t>(lane)] += term(i + lane);
    }
    for (std::size_t lane = 0; i < n; ++i, ++lane) lanes_[lane] += term(i);
  }

  Number total() const {
    std::array<Number, kLanes> folded = lanes_;
    for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
      for (std::size_t lane = 0; lane < width; ++lane) folded[lane] += folded[lane + width];
    }
    return folded[0];
  }

 private:
  std::array<Number, kLanes> lanes_{};
};

template <class Term>
float ordered_sum(std::int64_t n, Term term) {
  OrderedSum<float> sum;
  sum.add(n, term);
  return sum.total();
}

inline float ordered_dot(const float* x, const float* y, std::int64_t n) {
  return ordered_sum(n, [=](std::int64_t i) { return x[i] * y[i]; });
}

}  // namespace coe
