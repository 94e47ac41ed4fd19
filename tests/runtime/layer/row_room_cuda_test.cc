#include "runtime/layer/row_room.h"

#include "comm/make_transport.h"
#include "runtime/layer/layer_size.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

class RowRoomCuda : public OnCuda {
 protected:
  LayerConfig layer_{.experts = 8, .top_k = 2};
  Placement placement_{8, 4};
};

TEST_F(RowRoomCuda, IsAMultipleOfAnEvenShareAndGrowsWhereItOverflows) {
  const auto world = make_transport("local");
  RowRoom room(1.5, stream_);
  EXPECT_EQ(room.rows(layer_, placement_, 100), 75) << "a quarter of 200 choices, times 1.5";
  EXPECT_FALSE(room.grow({world.get()}));
  fill(room.overflow(), 1, stream_);
  EXPECT_TRUE(room.grow({world.get()}));
  EXPECT_EQ(room.rows(layer_, placement_, 100), 150);
  EXPECT_FALSE(room.grow({world.get()})) << "nothing has come since";
  fill(room.overflow(), 1, stream_);
  EXPECT_TRUE(room.grow({world.get()}));
  EXPECT_EQ(room.rows(layer_, placement_, 100), 200) << "all that there can be";
}

TEST_F(RowRoomCuda, IsForAllWhereThatIsAskedForOrNobodyKnowsLess) {
  RowRoom room(1.5, stream_);
  LayerConfig relu = layer_;
  relu.router = RouterKind::kRelu;
  EXPECT_EQ(room.rows(relu, placement_, 100), most_rows(relu, placement_, 100));
  EXPECT_EQ(RowRoom(0, stream_).rows(layer_, placement_, 100), 200);
  EXPECT_EQ(RowRoom(0, stream_).overflow().elements(), 0);
  room.hold_all();
  EXPECT_EQ(room.rows(layer_, placement_, 100), 200);
}

}  // namespace
}  // namespace coe
