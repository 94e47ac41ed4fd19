#include "launcher/bench/gemm_peak.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(GemmPeakOnRanks, IsTheSameOnEveryRankAndNeverFalls) {
  on_ranks(2, [](Transport& world) {
    GemmPeak peak({&world});
    EXPECT_EQ(peak.gflops(), 0);
    peak.measure();
    const double once = peak.gflops();
    EXPECT_GT(once, 0);
    peak.measure();
    double twice = peak.gflops(), sum = twice;
    EXPECT_GE(twice, once);
    all_reduce_sum<double>({&world}, {&sum, 1}, {"test"});
    EXPECT_EQ(sum, 2 * twice);
  });
}

}  // namespace
}  // namespace coe
