#include "runtime/layer/layer_workspace.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(LayerWorkspace, OfAGroupAndOfARankAlone) {
  on_ranks(4, [](Transport& world) {
    const RankGroups groups(world, 2, kDefaultDeadline);
    LayerWorkspace workspace = make_layer_workspace({.experts = 5}, groups, 0, host_stream(), 2);
    ASSERT_EQ(workspace.group.size(), 2U);
    for (const auto& group : workspace.group) EXPECT_EQ(group->table(0).shape(), (Shape{2, 5}));
    EXPECT_EQ(workspace.own->table(0).shape(), (Shape{1, 5}));
    EXPECT_EQ(workspace.chunks(), 2);
    EXPECT_EQ(workspace.arenas.size(), 2U);
    EXPECT_TRUE(make_layer_workspace({.experts = 5}, groups).arenas.empty()) << "one chunk takes the caller's";
  });
}

}  // namespace
}  // namespace coe
