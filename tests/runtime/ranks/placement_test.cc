#include "runtime/ranks/placement.h"

#include <gtest/gtest.h>

#include "kernels/memory/error.h"

namespace coe {
namespace {

using Held = std::vector<ExpertIds>;

ExpertIds ids(std::vector<std::int64_t> all) { return ExpertIds(std::move(all)); }

std::vector<std::int64_t> counts_of(const Placement& placement) {
  std::vector<std::int64_t> counts;
  for (int rank = 0; rank < placement.ranks(); ++rank) counts.push_back(placement.experts_of(rank).count());
  return counts;
}

TEST(Placement, SevenExpertsOverThreeRanksAreThreeTwoTwo) {
  const Placement placement(7, 3);
  EXPECT_EQ(counts_of(placement), (std::vector<std::int64_t>{3, 2, 2}));
  EXPECT_EQ(placement.experts_of(0)[0], 0);
  EXPECT_EQ(placement.experts_of(1)[0], 3);
  EXPECT_EQ(placement.experts_of(2)[0], 5);
  std::vector<int> holder;
  for (std::int64_t expert = 0; expert < placement.experts(); ++expert) holder.push_back(placement.rank_of(expert));
  EXPECT_EQ(holder, (std::vector<int>{0, 0, 0, 1, 1, 2, 2}));
}

TEST(Placement, RanksBeyondTheExpertsHoldNone) {
  const Placement placement(3, 7);
  EXPECT_EQ(counts_of(placement), (std::vector<std::int64_t>{1, 1, 1, 0, 0, 0, 0}));
  EXPECT_EQ(placement.rank_of(2), 2);
  EXPECT_EQ(placement.experts(), 3);
  EXPECT_EQ(placement.ranks(), 7);
}

TEST(Placement, NeedsAnExpertAndARank) {
  EXPECT_THROW(Placement(0, 1), Error);
  EXPECT_THROW(Placement(4, 0), Error);
  EXPECT_THROW(Placement(-1, 2), Error);
}

TEST(Placement, AnyMapKeepsTheOrderOfEachRank) {
  const Placement placement(Held{ids({3, 0}), ids({}), ids({1, 4, 2})});
  EXPECT_EQ(placement.experts(), 5);
  EXPECT_EQ(counts_of(placement), (std::vector<std::int64_t>{2, 0, 3}));
  EXPECT_EQ(placement.most_held(), 3);
  EXPECT_EQ(placement.rank_of(3), 0);
  EXPECT_EQ(placement.rank_of(4), 2);
  EXPECT_EQ(placement.experts_of(2)[1], 4);
}

TEST(Placement, EveryExpertIsHeldOnce) {
  EXPECT_THROW(Placement(Held{ids({0, 1}), ids({1})}), Error);
  EXPECT_THROW(Placement(Held{ids({0, 3}), ids({1})}), Error);
  EXPECT_THROW(Placement(Held{ids({-1, 0})}), Error);
  EXPECT_THROW(Placement(Held{}), Error);
}

}  // namespace
}  // namespace coe
