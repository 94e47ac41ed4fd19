#include "runtime/exchange/device_exchange.h"

#include <gtest/gtest.h>

#include "comm/make_transport.h"

namespace coe {
namespace {

// The memory may be the CPU's too: addresses and the table are then plain to see.
TEST(DeviceExchange, RanksSeeOneAnothersBlocks) {
  run_local_ranks(4, [](Transport& world) {
    const Stream stream(kCpu);
    DeviceExchange exchange({&world}, {.rows = 3, .hidden = 5, .experts = 6, .slots = 2, .scores = 7, .rounds = 3},
                            stream);
    const auto meet = [&] {
      exchange.meeting().arrive(stream);
      exchange.meeting().follow(stream, {"meeting"});
    };
    const auto at = [&](const Tensor& addresses, int rank) {
      return reinterpret_cast<float*>(addresses.data<std::int64_t>()[rank]);
    };
    meet();
    const int next = (world.rank() + 1) % 4;
    const auto mark = static_cast<float>(world.rank());
    at(exchange.arrived_blocks(0).rows, next)[14] = 10 + mark;
    exchange.scores(0).data<float>()[6] = 70 + mark;
    exchange.scores(1).data<float>()[6] = 80 + mark;
    at(exchange.arrived_blocks(1).rows, next)[0] = 20 + mark;
    at(exchange.upstream_blocks().rows, next)[0] = 30 + mark;
    at(exchange.upstream_blocks().scalars, next)[2] = 40 + mark;
    exchange.results().rows.data<float>()[0] = 50 + mark;
    exchange.results().scalar.data<float>()[0] = 60 + mark;
    meet();
    const float before = static_cast<float>((world.rank() + 3) % 4), after = static_cast<float>(next);
    EXPECT_EQ(exchange.arrived(0).data<float>()[14], 10 + before);
    EXPECT_EQ(at(exchange.score_lists(0), next)[6], 70 + after);
    EXPECT_EQ(at(exchange.score_lists(1), next)[6], 80 + after);
    EXPECT_EQ(at(exchange.score_lists(2), next)[6], 70 + after);
    EXPECT_EQ(exchange.arrived(1).data<float>()[0], 20 + before);
    EXPECT_EQ(exchange.upstream().rows.data<float>()[0], 30 + before);
    EXPECT_EQ(exchange.upstream().scalar.data<float>()[2], 40 + before);
    EXPECT_EQ(at(exchange.result_blocks().rows, next)[0], 50 + after);
    EXPECT_EQ(at(exchange.result_blocks().scalars, next)[0], 60 + after);
  });
}

TEST(DeviceExchange, EveryRanksTableHasAllTotals) {
  run_local_ranks(3, [](Transport& world) {
    const Stream stream(kCpu);
    DeviceExchange exchange({&world}, {.rows = 1, .hidden = 1, .experts = 2, .slots = 1, .rounds = 3}, stream);
    std::vector<std::int32_t> totals = {10 * world.rank(), 10 * world.rank() + 1}, later = {-1, -1};
    exchange.tell(Tensor(totals.data(), DType::kI32, {2}), 0, stream);
    exchange.tell(Tensor(later.data(), DType::kI32, {2}), 1, stream);
    exchange.meeting().arrive(stream);
    exchange.meeting().follow(stream, {"telling"});
    const std::vector<std::int32_t> expected = {0, 1, 10, 11, 20, 21};
    const auto table = exchange.table(0).span<std::int32_t>();
    EXPECT_TRUE(std::equal(table.begin(), table.end(), expected.begin(), expected.end()));
  });
}

}  // namespace
}  // namespace coe
