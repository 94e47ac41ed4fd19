#include "launcher/bench/bench_experts.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(BenchExpertsOnRanks, CountsRowsAndFlops) {
  on_ranks(2, [](Transport& world) {
    Benchmark benchmark;
    benchmark.tokens = 32;
    benchmark.layer.hidden = 16;
    benchmark.layer.expert_hidden = 8;
    benchmark.layer.experts = benchmark.layer.top_k = 4;  // all of them, so that rows can be counted by hand
    benchmark.warmup_steps = 0;
    benchmark.steps = 1;
    ExpertsBenchmarkResult result = bench_experts(benchmark, world);
    EXPECT_EQ(result.rows, 2 * 64);  // two experts, each with the tokens of both ranks
    EXPECT_EQ(result.fewest_rows, 64);
    EXPECT_EQ(result.most_rows, 64);
    EXPECT_GT(result.backward_ms.min, 0);
    const double seconds = 1e-3 * (result.forward_ms.median + result.backward_ms.median);
    EXPECT_NEAR(result.gflops.median * seconds, 18e-9 * 128 * 16 * 8, 1e-9);
    EXPECT_NEAR(result.peak_fraction, result.gflops.median / result.gemm_peak_gflops, 1e-12);

    benchmark.forward_only = true;
    result = bench_experts(benchmark, world);
    EXPECT_EQ(result.backward_ms.max, 0);
    EXPECT_NEAR(result.gflops.median * 1e-3 * result.forward_ms.median, 6e-9 * 128 * 16 * 8, 1e-9);
  });
}

}  // namespace
}  // namespace coe
