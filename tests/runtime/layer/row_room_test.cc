#include "runtime/layer/row_room.h"

#include <gtest/gtest.h>

#include "comm/make_transport.h"

namespace coe {
namespace {

TEST(RowRoom, TheHostCountsRowsAndNeedsNone) {
  const auto world = make_transport("local");
  RowRoom room(1.5, host_stream());
  EXPECT_EQ(room.rows({.experts = 8, .top_k = 2}, Placement(8, 4), 100), 200);
  EXPECT_EQ(room.overflow().elements(), 0);
  EXPECT_FALSE(room.grow({world.get()}));
}

}  // namespace
}  // namespace coe
