#include "runtime/layer/layer_tables.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(LayerTables, OfAGroupAndOfARankAlone) {
  on_ranks(4, [](Transport& world) {
    const RankGroups groups(world, 2, kDefaultDeadline);
    const LayerTables tables = make_layer_tables({.experts = 5}, groups);
    EXPECT_EQ(tables.group->table(0).shape(), (Shape{2, 5}));
    EXPECT_EQ(tables.own->table(0).shape(), (Shape{1, 5}));
  });
}

}  // namespace
}  // namespace coe
