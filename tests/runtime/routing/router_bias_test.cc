#include "runtime/routing/router_bias.h"

#include <gtest/gtest.h>

#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

TEST(RouterBias, RisesBelowTheMeanLoadAndFallsAboveIt) {
  Arena arena;
  const Tensor bias = tensor_of<float>({4}, {0.5F, 0, -1, 2}, arena);
  update_router_bias(0.25F, std::vector<std::int64_t>{3, 2, 1, 2}, bias);
  EXPECT_EQ(values_of<float>(bias), (std::vector<float>{0.25F, 0, -0.75F, 2}));
}

TEST(RouterBias, ComparesWithAMeanThatIsNoInteger) {
  Arena arena;
  const Tensor bias = tensor_of<float>({3}, {0, 0, 0}, arena);
  update_router_bias(1, std::vector<std::int64_t>{1, 2, 2}, bias);  // mean 5/3
  EXPECT_EQ(values_of<float>(bias), (std::vector<float>{1, -1, -1}));
}

TEST(RouterBias, WithoutABiasNothingHappens) { update_router_bias(1, std::vector<std::int64_t>{1, 2}, {}); }

}  // namespace
}  // namespace coe
