#include "launcher/bench/gemm_rate.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/kernels/products/naive_product.h"

namespace coe {
namespace {

TEST(TimeGemm, EveryWayComputesTheLinearProduct) {
  const Floats x = normal_tensor({9, 20}, 1), w = normal_tensor({6, 20}, 2);
  ASSERT_FALSE(gemm_ways().empty());
  for (const std::string_view way : gemm_ways()) {
    const Floats y({9, 6});
    EXPECT_GT(time_gemm(way, x, w, y), 0.0) << way;
    EXPECT_LT(worst_error(y, naive(x, Transpose::kNo, w, Transpose::kYes, 0, y)), 1e-5) << way;
  }
  EXPECT_EQ(thrown_code([&] { time_gemm("none", x, w, Floats({9, 6})); }), ErrorCode::kBadInput);
}

}  // namespace
}  // namespace coe
