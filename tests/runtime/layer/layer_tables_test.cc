#include "runtime/layer/layer_tables.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(LayerTables, OfAGroupAndOfARankAlone) {
  on_ranks(4, [](Transport& world) {
    const RankGroups groups(world, 2, kDefaultDeadline);
    const LayerTables tables = make_layer_tables({.experts = 5}, groups, 0, host_stream(), 2);
    ASSERT_EQ(tables.group.size(), 2U);
    for (const auto& group : tables.group) EXPECT_EQ(group->table(0).shape(), (Shape{2, 5}));
    EXPECT_EQ(tables.own->table(0).shape(), (Shape{1, 5}));
  });
}

}  // namespace
}  // namespace coe
