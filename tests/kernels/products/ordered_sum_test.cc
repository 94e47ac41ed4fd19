#include "kernels/products/ordered_sum.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"

namespace coe {
namespace {

/// The documented order, said plainly: partial sums by i mod 16, folded in halves.
float in_documented_order(const std::vector<float>& terms) {
  std::vector<float> partial(16, 0.0F);
  for (std::size_t i = 0; i < terms.size(); ++i) partial[i % 16] += terms[i];
  for (const std::size_t width : {8U, 4U, 2U, 1U}) {
    for (std::size_t lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
  }
  return partial[0];
}

TEST(OrderedSum, HasTheDocumentedOrderAtEveryLength) {
  for (std::int64_t n = 0; n < 70; ++n) {
    const auto x = normal(n, 1);
    EXPECT_EQ(ordered_sum(n, [&](std::int64_t i) { return x[static_cast<std::size_t>(i)]; }), in_documented_order(x));
  }
}

TEST(OrderedSum, InPiecesOfWholeLanesIsTheSameSum) {
  const auto x = normal(75, 2);
  const auto term = [&](std::int64_t i) { return x[static_cast<std::size_t>(i)]; };
  OrderedSum<float> pieces;
  pieces.add(32, term);
  pieces.add(43, [&](std::int64_t i) { return term(i + 32); });
  EXPECT_EQ(pieces.total(), ordered_sum(75, term));
}

TEST(OrderedDot, BitsDoNotDependOnAlignment) {
  const auto x = normal(99, 3), y = normal(99, 4);
  const float wanted = ordered_dot(x.data(), y.data(), 99);
  for (const std::size_t offset : {1U, 2U, 3U, 7U}) {
    const Floats moved({99}, x, offset);
    EXPECT_EQ(ordered_dot(moved.begin(), y.data(), 99), wanted);
  }
}

}  // namespace
}  // namespace coe
