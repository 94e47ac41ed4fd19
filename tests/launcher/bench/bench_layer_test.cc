#include "launcher/bench/bench_layer.h"

#include <gtest/gtest.h>

#include "tests/bad_input.h"
#include "tests/ranks.h"

namespace coe {
namespace {

Benchmark small_benchmark() {
  Benchmark benchmark;
  benchmark.layer.hidden = 16;
  benchmark.layer.expert_hidden = 8;
  benchmark.layer.experts = 4;
  benchmark.layer.top_k = 4;  // all of them, so that the rows that travel can be counted by hand
  benchmark.layer.iterations = 2;
  benchmark.tokens = 32;
  benchmark.sequence = 16;
  benchmark.warmup_steps = 0;
  benchmark.steps = 1;
  return benchmark;
}

TEST(BenchLayerOnRanks, CountsTheBytesThatTravel) {
  on_ranks(2, [](Transport& world) {
    const LayerBenchmarkResult result = bench_layer(small_benchmark(), world);
    // Half of 32 x 4 choices of 2 ranks go to the other: rows of 16 floats out and back in two iterations forward, and
    // again with a float beside each backward.
    EXPECT_EQ(result.bytes_exchanged, 2 * 64 * 2 * 2 * (16 + 17) * 4);
    EXPECT_GT(result.step_ms.median, 0);
    EXPECT_NEAR(result.gflops, 18e-6 * 32 * 4 * 2 * 16 * 8 / result.step_ms.median, 1e-9);
    EXPECT_NEAR(result.peak_fraction, result.gflops / result.gemm_peak_gflops, 1e-12);
    EXPECT_GT(result.times[Part::kExperts], 0);
    EXPECT_GT(result.memory_growth, 0);
    EXPECT_GT(result.size_hint, 0);
    EXPECT_EQ(result.allocations.has_value(), allocation_counts().has_value());
  });
}

TEST(BenchLayerOnRanks, LeavesTheBackwardOut) {
  on_ranks(1, [](Transport& world) {
    Benchmark benchmark = small_benchmark();
    benchmark.forward_only = true;
    const LayerBenchmarkResult result = bench_layer(benchmark, world);
    EXPECT_EQ(result.bytes_exchanged, 0);
    EXPECT_NEAR(result.gflops, 6e-6 * 32 * 4 * 2 * 16 * 8 / result.step_ms.median, 1e-9);
  });
}

TEST(BenchLayerOnRanks, RefusesTokensThatAreNoWholeSequences) {
  on_ranks(1, [](Transport& world) {
    Benchmark benchmark = small_benchmark();
    benchmark.tokens = 33;
    bad_input([&] { bench_layer(benchmark, world); });
  });
}

}  // namespace
}  // namespace coe
