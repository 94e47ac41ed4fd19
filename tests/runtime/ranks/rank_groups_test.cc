#include "runtime/ranks/rank_groups.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/memory/error.h"
#include "tests/ranks.h"

namespace coe {
namespace {

/// World ranks of a group's members, in the order of the group.
std::vector<int> members_of(Group group, int world_rank) {
  std::vector<int> members(static_cast<std::size_t>(group.size()));
  all_gather<int>(group, std::vector{world_rank}, members, {"members"});
  return members;
}

TEST(RankGroupsOnRanks, FourRanksInTwosAreTwoExpertGroupsOfNeighbours) {
  on_ranks(4, [](Transport& world) {
    const RankGroups groups(world, 2, kDefaultDeadline);
    const int rank = world.rank();
    const int first = rank / 2 * 2, twin = rank % 2;
    EXPECT_EQ(members_of(groups.experts(), rank), (std::vector{first, first + 1}));
    EXPECT_EQ(members_of(groups.replicas(), rank), (std::vector{twin, twin + 2}));
    EXPECT_EQ(members_of(groups.world(), rank), (std::vector{0, 1, 2, 3}));
    EXPECT_EQ(groups.experts().rank(), twin);
    EXPECT_EQ(groups.replicas().rank(), rank / 2);
  });
}

TEST(RankGroupsOnRanks, ZeroPutsAllRanksIntoOneExpertGroup) {
  for_each_ranks([](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    EXPECT_EQ(groups.experts().size(), world.size());
    EXPECT_EQ(groups.experts().rank(), world.rank());
    EXPECT_EQ(groups.replicas().size(), 1);
  });
}

TEST(RankGroupsOnRanks, ExpertGroupsOfOneAreDataParallel) {
  on_ranks(4, [](Transport& world) {
    const RankGroups groups(world, 1, kDefaultDeadline);
    EXPECT_EQ(groups.experts().size(), 1);
    EXPECT_EQ(members_of(groups.replicas(), world.rank()), (std::vector{0, 1, 2, 3}));
  });
}

TEST(RankGroupsOnRanks, TheDeadlineIsPassedOn) {
  on_ranks(2, [](Transport& world) {
    const std::chrono::milliseconds deadline{1234};
    const RankGroups groups(world, 1, deadline);
    EXPECT_EQ(groups.world().deadline, deadline);
    EXPECT_EQ(groups.experts().deadline, deadline);
    EXPECT_EQ(groups.replicas().deadline, deadline);
  });
}

TEST(RankGroupsOnRanks, AGroupThatDoesNotDivideTheRanksIsRefusedOnAll) {
  on_ranks(4, [](Transport& world) {
    for (const std::int64_t group : {3, 8, -1}) {
      try {
        const RankGroups groups(world, group, kDefaultDeadline);
        ADD_FAILURE() << group << " was accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      }
    }
  });
}

}  // namespace
}  // namespace coe
