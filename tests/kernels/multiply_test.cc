#include "kernels/multiply.h"

#include <gtest/gtest.h>

#include "tests/kernels/owned_tensor.h"

namespace coe {
namespace {

TEST(Multiply, ReadsAndWritesInsideItsStridesOnly) {
  // a is [2, 2] in rows of 3, b [2, 2] in rows of 4; out [2, 2] in rows of 3 between columns that stay.
  const Floats a({6}, {1, 2, 99, 3, 4, 99}), b({8}, {5, 6, 99, 99, 7, 8, 99, 99}), out({6}, {9, 9, 9, 9, 9, 9});
  multiply({a.begin(), 2, 2, 3}, Transpose::kNo, {b.begin(), 2, 2, 4}, Transpose::kNo, 0.0F, {out.begin(), 2, 2, 3});
  EXPECT_EQ(out.values(), (std::vector<float>{19, 22, 9, 43, 50, 9}));
  multiply({a.begin(), 2, 2, 3}, Transpose::kYes, {b.begin(), 2, 2, 4}, Transpose::kYes, 1.0F, {out.begin(), 2, 2, 3});
  EXPECT_EQ(out.values(), (std::vector<float>{19 + 23, 22 + 31, 9, 43 + 34, 50 + 46, 9}));
}

TEST(Multiply, ClearsInsideItsStrideWhereTheSumIsEmpty) {
  const Floats out({6}, {9, 9, 9, 9, 9, 9});
  multiply({nullptr, 2, 0, 1}, Transpose::kNo, {nullptr, 0, 2, 2}, Transpose::kNo, 0.0F, {out.begin(), 2, 2, 3});
  EXPECT_EQ(out.values(), (std::vector<float>{0, 0, 9, 0, 0, 9}));
}

}  // namespace
}  // namespace coe
