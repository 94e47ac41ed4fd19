#include "launcher/report/routing_statistics.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

using Counts = std::vector<std::int64_t>;

TEST(RoutingStatistics, LoadByHand) {
  const LoadStatistics load = load_statistics(Counts{4, 2, 2, 0});
  EXPECT_DOUBLE_EQ(load.max_over_mean, 2);
  EXPECT_NEAR(load.variation, 0.70710678, 1e-8);  // sqrt((4 + 0 + 0 + 4) / 4) / 2
  EXPECT_DOUBLE_EQ(load.entropy_bits, 1.5);       // 1/2 * 1 + 2 * 1/4 * 2
  EXPECT_EQ(load.idle, 1);
}

TEST(RoutingStatistics, NothingChosenIsAllZeros) {
  const LoadStatistics load = load_statistics(Counts{0, 0});
  EXPECT_EQ(load.max_over_mean, 0);
  EXPECT_EQ(load.entropy_bits, 0);
  EXPECT_EQ(load.idle, 2);
  EXPECT_EQ(mutual_information_bits(Counts{0, 0, 0, 0}, 2), 0);
}

TEST(RoutingStatistics, PairsAreSortedByCountAndComparedWithChance) {
  // Of 8 tokens 4, 4 and 2 chose experts 0, 1 and 2.
  const Counts together{4, 3, 0, 3, 4, 1, 0, 1, 2};
  const auto pairs = frequent_pairs(together, 3, 8, 5);
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_EQ(pairs[0].first, 0U);
  EXPECT_EQ(pairs[0].second, 1U);
  EXPECT_EQ(pairs[0].count, 3);
  EXPECT_DOUBLE_EQ(pairs[0].times_chance, 1.5);  // chance gives 4 * 4 / 8
  EXPECT_DOUBLE_EQ(pairs[1].times_chance, 1);    // 4 * 2 / 8
}

TEST(RoutingStatistics, TransitionsAreComparedWithChance) {
  const Counts transitions{6, 2, 0, 8};  // rows 8 and 8, columns 6 and 10, of 16
  const auto first = frequent_transitions(transitions, 2, 1);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].first, 1U);
  EXPECT_EQ(first[0].second, 1U);
  EXPECT_DOUBLE_EQ(first[0].times_chance, 1.6);  // chance gives 8 * 10 / 16
  EXPECT_EQ(expected_by_chance(transitions, 2), (std::vector<double>{3, 5, 3, 5}));
}

TEST(RoutingStatistics, IndependentTransitionsShareNoInformationAndFixedOnesAll) {
  EXPECT_DOUBLE_EQ(mutual_information_bits(Counts{1, 3, 2, 6}, 2), 0);
  EXPECT_DOUBLE_EQ(mutual_information_bits(Counts{0, 5, 5, 0}, 2), 1);
}

}  // namespace
}  // namespace coe
