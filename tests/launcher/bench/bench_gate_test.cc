#include "launcher/bench/bench_gate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(BenchGateOnRanks, TheBoundIsTheLongerOfReadingAndMultiplying) {
  on_ranks(2, [](Transport& world) {
    Benchmark benchmark;
    benchmark.tokens = 32;
    benchmark.sequence = 16;
    benchmark.layer.hidden = 16;
    benchmark.layer.experts = 4;
    benchmark.layer.top_k = 2;
    benchmark.warmup_steps = 0;
    benchmark.steps = 1;
    const GateBenchmarkResult result = bench_gate(benchmark, world);
    EXPECT_NEAR(result.product_ms * result.gemm_peak_gflops, 2e-6 * 32 * 16 * 4, 1e-9);
    EXPECT_EQ(result.bound_ms, std::max(result.product_ms, result.read_ms.median));
    EXPECT_NEAR(result.total_ms.median, result.gate_ms.median + result.plan_ms.median, 1e-9);
    EXPECT_GT(result.bound_fraction, 0);
  });
}

}  // namespace
}  // namespace coe
