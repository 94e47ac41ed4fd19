#include "kernels/products/grouped_gemm.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

// Two inputs, one output, three groups of 1, 0 and 2 rows.
const std::vector<float> kRows = {1, 2, 3, 4, 5, 6, 7, 8}, kWeights = {1, 10, 100, 1000, 2, 20};

TEST(GroupedGemm, GroupsHaveTheirOwnWeights) {
  const Floats x({4, 2}, kRows), w({3, 1, 2}, kWeights), y({4, 1}, {-1, -1, -1, -1});
  grouped_linear(x, w, Ints({4}, {0, 1, 1, 3}), y);
  EXPECT_EQ(y.values(), (std::vector<float>{21, 86, 130, -1}));
}

TEST(GroupedGemm, InputGradientTakesTheGroupsWeights) {
  const Floats dy({4, 1}, {1, 2, 3, 4}), w({3, 1, 2}, kWeights), dx({4, 2}, std::vector<float>(8, -1));
  grouped_linear_input_gradient(dy, w, Ints({4}, {0, 1, 1, 3}), dx);
  EXPECT_EQ(dx.values(), (std::vector<float>{1, 10, 4, 40, 6, 60, -1, -1}));
}

TEST(GroupedGemm, WeightGradientsAddUp) {
  const Floats dy({4, 1}, {1, 2, 3, 4}), x({4, 2}, kRows), dw({3, 1, 2}, {1, 1, 1, 1, 1, 1});
  grouped_linear_weight_gradient(dy, x, Ints({4}, {0, 1, 1, 3}), dw);
  EXPECT_EQ(dw.values(), (std::vector<float>{2, 3, 1, 1, 22, 27}));
}

TEST(GroupedGemm, OffsetsMustAscendWithinTheRows) {
  const Floats x({4, 2}, kRows), w({3, 1, 2}, kWeights), y({4, 1});
  const auto call = [&](std::vector<std::int32_t> ends) {
    return thrown_code([&] { grouped_linear(x, w, Ints({4}, ends), y); });
  };
  EXPECT_EQ(call({0, 2, 1, 3}), ErrorCode::kInternal);
  EXPECT_EQ(call({0, 1, 2, 5}), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
