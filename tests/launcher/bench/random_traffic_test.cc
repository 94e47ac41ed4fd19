#include "launcher/bench/random_traffic.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"

namespace coe {
namespace {

Benchmark traffic(std::int64_t tokens, std::int64_t experts, std::int64_t top_k) {
  Benchmark benchmark;
  benchmark.tokens = tokens;
  benchmark.layer.experts = experts;
  benchmark.layer.top_k = top_k;
  return benchmark;
}

TEST(RandomTraffic, DrawsDifferentExpertsInAscendingOrder) {
  Arena arena;
  const Routing routing = random_routing(traffic(100, 8, 3), 0, arena);
  ASSERT_EQ(routing.choices(), 300);
  for (int t = 0; t < 100; ++t) {
    const auto* expert = routing.expert.data<std::int32_t>() + 3 * t;
    EXPECT_GE(expert[0], 0);
    EXPECT_LT(expert[0], expert[1]);
    EXPECT_LT(expert[1], expert[2]);
    EXPECT_LT(expert[2], 8);
  }
}

TEST(RandomTraffic, SkewMakesOneExpertOfEveryToken) {
  Arena arena;
  Benchmark benchmark = traffic(50, 8, 1);
  benchmark.skew = 100;
  const Routing routing = random_routing(benchmark, 0, arena);
  for (const std::int32_t expert : routing.expert.span<std::int32_t>()) {
    EXPECT_EQ(expert, routing.expert.data<std::int32_t>()[0]);
  }
}

TEST(RandomTraffic, ExpectsWhatCanBeWorkedByHand) {
  // 4 experts on 2 ranks, 2 of them a token: the other rank is missed where both fall on this one, 1 of 6 pairs.
  const RowsElsewhere rows = expected_rows_elsewhere(60, 2, Placement(4, 2), 0);
  EXPECT_NEAR(rows.every_choice, 60, 1e-9);
  EXPECT_NEAR(rows.once_per_rank, 50, 1e-9);
}

TEST(RandomTraffic, CountsRowsThatLeave) {
  Arena arena;
  // All four experts are chosen: two choices and one token go to the other rank, each time.
  const RowsElsewhere rows = count_rows_elsewhere(random_routing(traffic(10, 4, 4), 1, arena), Placement(4, 2), 1);
  EXPECT_EQ(rows.every_choice, 20);
  EXPECT_EQ(rows.once_per_rank, 10);
}

TEST(RandomTraffic, ChanceComesNearWhatIsExpected) {
  Arena arena;
  const Placement placement(64, 4);
  const RowsElsewhere counted = count_rows_elsewhere(random_routing(traffic(4096, 64, 4), 2, arena), placement, 2);
  const RowsElsewhere expected = expected_rows_elsewhere(4096, 4, placement, 2);
  EXPECT_NEAR(counted.every_choice / expected.every_choice, 1, 0.02);
  EXPECT_NEAR(counted.once_per_rank / expected.once_per_rank, 1, 0.02);
}

TEST(RandomTrafficOnRanks, PlansAllChoices) {
  for_each_ranks([](Transport& world) {
    Arena arena;
    const Routing routing = random_routing(traffic(20, 8, 3), world.rank(), arena);
    const DispatchPlan plan = plan_of(routing, Placement(8, world.size()), {&world}, arena);
    std::int64_t received = plan.rows_received();
    EXPECT_EQ(plan.rows_sent(), 60);
    all_reduce_sum<std::int64_t>({&world}, {&received, 1}, {"test"});
    EXPECT_EQ(received, 60 * world.size());
  });
}

}  // namespace
}  // namespace coe
