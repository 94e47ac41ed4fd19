#include "launcher/bench/bench_exchange.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/node_transport.h"
#include "tests/ranks.h"

namespace coe {
namespace {

TEST(BenchExchangeOnRanks, CountsBytesAndComparesWithEveryOtherWay) {
  on_ranks(2, [](Transport& world) {
    Benchmark benchmark;
    benchmark.tokens = 32;
    benchmark.layer.hidden = 16;
    benchmark.layer.experts = benchmark.layer.top_k = 4;  // all of them, so that rows can be counted by hand
    benchmark.warmup_steps = 0;
    benchmark.steps = 1;
    const ExchangeBenchmarkResult result = bench_exchange(benchmark, world);
    // 2 ranks x 32 tokens x 4 experts of 64 bytes, there and back; half of them leave, to one other rank.
    EXPECT_EQ(result.bytes_copied, 2 * 32 * 4 * 64 * 2);
    EXPECT_EQ(result.bytes_sent, result.bytes_copied / 2);
    EXPECT_EQ(result.bytes_counted.every_choice, result.bytes_copied / 2);
    EXPECT_EQ(result.bytes_counted.once_per_rank, result.bytes_copied / 4);
    EXPECT_DOUBLE_EQ(result.bytes_expected.every_choice, result.bytes_copied / 2);
    EXPECT_DOUBLE_EQ(result.bytes_expected.once_per_rank, result.bytes_copied / 4);
    // A float beside each row out, two beside each choice.
    EXPECT_GE(result.partial_sums_bytes_sent, result.bytes_counted.once_per_rank);
    EXPECT_LE(result.partial_sums_bytes_sent, result.bytes_counted.once_per_rank + 2 * 32 * (4 + 4 * 8));
    EXPECT_EQ(result.alltoallv.has_value(), ranks_are_processes());
    EXPECT_EQ(result.messages_sent, 0) << "windows reach all";
    ASSERT_TRUE(result.bound.has_value());
    for (const Spread& ratio : {result.bound->dispatch, result.bound->combine, result.bound->total,
                                result.reference.total, result.partial_sums.total}) {
      EXPECT_GT(ratio.median, 0);
      EXPECT_TRUE(std::isfinite(ratio.median));
    }
  });
}

TEST(BenchExchangeOnRanks, OverSeveralMachinesItMeasuresAllButTheCopyBound) {
  on_ranks(2, [](Transport& world) {
    NodeTransport apart(world, 1);
    Benchmark benchmark;
    benchmark.tokens = 32;
    benchmark.layer.hidden = 16;
    benchmark.layer.experts = benchmark.layer.top_k = 4;
    benchmark.warmup_steps = 0;
    benchmark.steps = 1;
    const ExchangeBenchmarkResult result = bench_exchange(benchmark, apart);
    EXPECT_FALSE(result.bound.has_value());
    EXPECT_GT(result.one_copy.total_ms.median, 0);
    EXPECT_GT(result.reference.total.median, 0);
    EXPECT_EQ(result.bytes_sent, 2 * 32 * 4 * 64 * 2 / 2);
    EXPECT_EQ(result.messages_sent, 2 * 2) << "one each way from each rank, however many experts";
  });
}

}  // namespace
}  // namespace coe
