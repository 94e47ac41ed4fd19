#include "runtime/exchange/flight.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/routing/route.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

TEST(AddRest, AddsSharedThenResidualToTheseTokensAlone) {
  Arena arena;
  // 1 is lost beside 2^24 unless it comes last.
  const Tensor sum = tensor_of<float>({3, 1}, {1, 2, 3}, arena),
               shared = tensor_of<float>({3, 1}, {10, 16777214, 30}, arena),
               residual = tensor_of<float>({3, 1}, {100, 1, 300}, arena);
  add_rest({.sum = sum, .shared = shared, .residual = residual}, 1, 1);
  EXPECT_EQ(values_of<float>(sum), (std::vector<float>{1, (2.0F + 16777214.0F) + 1.0F, 3}));
  add_rest({.sum = sum, .residual = residual}, 0, 1);
  EXPECT_EQ(sum.data<float>()[0], 101);
  add_rest({.sum = sum}, 2, 1);
  EXPECT_EQ(sum.data<float>()[2], 3);
}

TEST(AddRest, ALostTokenMakesAllSumsNaN) {
  Arena arena;
  const Tensor sum = tensor_of<float>({2, 1}, {1, 2}, arena),
               none = tensor_of<std::int32_t>({1}, {cuda::kNoneLost}, arena),
               first = tensor_of<std::int32_t>({1}, {0}, arena);
  add_rest({.sum = sum, .lost = none}, 0, 2);
  EXPECT_EQ(values_of<float>(sum), (std::vector<float>{1, 2}));
  add_rest({.sum = sum, .lost = first}, 1, 1);
  EXPECT_EQ(sum.data<float>()[0], 1);
  EXPECT_TRUE(std::isnan(sum.data<float>()[1]));
}

}  // namespace
}  // namespace coe
