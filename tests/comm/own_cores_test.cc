#include "comm/own_cores.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "comm/collectives.h"
#include "tests/ranks.h"

namespace coe {
namespace {

using Sets = std::vector<std::vector<int>>;

/// Four cores of two processors each, numbered as systems do: first all first ones.
const Sets kCores = {{0, 4}, {1, 5}, {2, 6}, {3, 7}};
const std::vector<int> kAll = {0, 1, 2, 3, 4, 5, 6, 7};

TEST(DealCores, UnboundRanksGetNeighbouringCores) {
  const std::vector<OwnCores> ranks = deal_cores(kCores, Sets{kAll, kAll}, 2);
  EXPECT_EQ(ranks[0], (OwnCores{{0, 1}, 2}));
  EXPECT_EQ(ranks[1], (OwnCores{{2, 3}, 2}));
}

TEST(DealCores, ACoresOtherProcessorsComeAfterAllCores) {
  const std::vector<OwnCores> ranks = deal_cores(kCores, Sets{kAll}, 6);
  EXPECT_EQ(ranks[0], (OwnCores{{0, 1, 2, 3, 4, 5}, 4}));
}

TEST(DealCores, RanksStayInsideWhatTheyMayUse) {
  const std::vector<OwnCores> ranks = deal_cores(kCores, Sets{kAll, {0, 4}}, 1);
  EXPECT_EQ(ranks[0], (OwnCores{{1}, 1})) << "the rank with less to choose from chooses first";
  EXPECT_EQ(ranks[1], (OwnCores{{0}, 1}));
}

TEST(DealCores, WhereOneHasTooFewAllGetEquallyFewer) {
  const std::vector<OwnCores> ranks = deal_cores(kCores, Sets{kAll, {0}}, 2);
  EXPECT_EQ(ranks[0], (OwnCores{{1}, 1}));
  EXPECT_EQ(ranks[1], (OwnCores{{0}, 1}));
}

TEST(DealCores, TwoRanksOfTwoThreadsShareTwoCoresEvenly) {
  const std::vector<OwnCores> ranks = deal_cores(Sets{{0}, {1}}, Sets{{0, 1}, {0, 1}}, 2);
  EXPECT_EQ(ranks[0], (OwnCores{{0}, 1}));
  EXPECT_EQ(ranks[1], (OwnCores{{1}, 1}));
  EXPECT_EQ(threads_worth_having(ranks[0], 2), 1);
}

TEST(DealCores, MoreRanksThanProcessorsAreNotBoundAndWorkAlone) {
  const std::vector<OwnCores> ranks = deal_cores(Sets{{0}, {1}}, Sets{{0, 1}, {0, 1}, {0, 1}}, 4);
  for (const OwnCores& rank : ranks) {
    EXPECT_EQ(rank, OwnCores{});
    EXPECT_EQ(threads_worth_having(rank, 4), 1);
  }
}

TEST(DealCores, WhoHasEnoughKeepsAllItsThreads) {
  const std::vector<OwnCores> ranks = deal_cores(kCores, Sets{kAll, kAll}, 4);
  for (const OwnCores& rank : ranks) {
    EXPECT_EQ(rank.processors.size(), 4U);
    EXPECT_EQ(threads_worth_having(rank, 4), 4);
  }
}

TEST(OwnCoresOnRanks, NoTwoRanksOfAMachineGetTheSameProcessor) {
  if (!topology_known()) GTEST_SKIP() << "this build has no hwloc";
  for_each_ranks([](Transport& world) {
    const Topology topology;
    const std::vector<int> mine = own_cores(topology, world, 1).processors;
    std::vector<int> all(static_cast<std::size_t>(world.size()));
    all_gather<int>({&world}, std::vector<int>{mine.empty() ? -1 : mine.front()}, all, {"test"});
    std::ranges::sort(all);
    if (all.front() < 0) {
      EXPECT_EQ(all.back(), -1) << "all ranks of a machine are bound or none";
    } else {
      EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
    }
  });
}

}  // namespace
}  // namespace coe
