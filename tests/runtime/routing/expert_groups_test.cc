#include "runtime/routing/expert_groups.h"

#include <gtest/gtest.h>

#include "runtime/routing/router.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

std::vector<float> kept_of(const std::vector<float>& ranking, std::int64_t groups, std::int64_t kept) {
  Arena arena;
  const Tensor one = tensor_of<float>({1, std::ssize(ranking)}, ranking, arena);
  keep_best_groups(one, groups, kept, arena);
  return values_of<float>(one);
}

TEST(ExpertGroups, AGroupIsWorthItsTwoBest) {
  // Worth 5 + 1, 4 + 3, 2 + 2: the largest single expert is not in the best group.
  EXPECT_EQ(kept_of({5, 0, 1, 4, 3, 0, 2, 2, 2}, 3, 1),
            (std::vector<float>{kClosed, kClosed, kClosed, 4, 3, 0, kClosed, kClosed, kClosed}));
  EXPECT_EQ(kept_of({5, 0, 1, 4, 3, 0, 2, 2, 2}, 3, 2),
            (std::vector<float>{5, 0, 1, 4, 3, 0, kClosed, kClosed, kClosed}));
}

TEST(ExpertGroups, ATieGoesToTheLowerGroup) {
  EXPECT_EQ(kept_of({1, 2, 2, 1, 3, 0}, 3, 1), (std::vector<float>{1, 2, kClosed, kClosed, kClosed, kClosed}));
}

TEST(ExpertGroups, MayHoldOneExpertEach) {
  EXPECT_EQ(kept_of({1, -2, 3, -4}, 4, 2), (std::vector<float>{1, kClosed, 3, kClosed}));
}

TEST(ExpertGroups, WhereAllAreKeptNothingChanges) {
  EXPECT_EQ(kept_of({1, 2, 3, 4}, 2, 2), (std::vector<float>{1, 2, 3, 4}));
}

TEST(ExpertGroups, EveryTokenKeepsItsOwn) {
  Arena arena;
  const Tensor two = tensor_of<float>({2, 4}, {9, 9, 1, 1, 1, 1, 9, 9}, arena);
  keep_best_groups(two, 2, 1, arena);
  EXPECT_EQ(values_of<float>(two), (std::vector<float>{9, 9, kClosed, kClosed, kClosed, kClosed, 9, 9}));
}

}  // namespace
}  // namespace coe
