#include "runtime/ranks/stream_tables.h"

#include <gtest/gtest.h>

#include "comm/make_transport.h"

namespace coe {
namespace {

// The memory may be the CPU's too: addresses and tables are then plain to see.
TEST(StreamTables, EveryRanksTableHasAllCounts) {
  run_local_ranks(3, [](Transport& world) {
    const Stream stream(kCpu);
    StreamTables tables({&world}, {.experts = 2}, stream);
    std::vector<std::int32_t> counts = {10 * world.rank(), 10 * world.rank() + 1}, later = {-1, -1};
    tables.tell(Tensor(counts.data(), DType::kI32, {1, 2}), 0, {"telling"});
    tables.told().get();
    tables.tell(Tensor(later.data(), DType::kI32, {1, 2}), 1, {"telling"});
    tables.told().get();
    const std::vector<std::int32_t> expected = {0, 1, 10, 11, 20, 21};
    const auto table = tables.table(0).span<std::int32_t>();
    EXPECT_TRUE(std::equal(table.begin(), table.end(), expected.begin(), expected.end()));
  });
}

TEST(StreamTables, RanksSeeOneAnothersScores) {
  run_local_ranks(4, [](Transport& world) {
    const Stream stream(kCpu);
    StreamTables tables({&world}, {.experts = 6, .scores = 7}, stream);
    const auto mark = static_cast<float>(world.rank());
    tables.scores(0).data<float>()[6] = 70 + mark;
    tables.scores(1).data<float>()[6] = 80 + mark;
    tables.tell_scores({"telling"});
    tables.told().get();
    const int next = (world.rank() + 1) % 4;
    const auto at = [&](int round) {
      return reinterpret_cast<float*>(tables.score_lists(round).data<std::int64_t>()[next])[6];
    };
    EXPECT_EQ(at(0), 70 + static_cast<float>(next));
    EXPECT_EQ(at(1), 80 + static_cast<float>(next));
    EXPECT_EQ(at(2), at(0));
    tables.tell_scores({"reading"});
    tables.told().get();
  });
}

}  // namespace
}  // namespace coe
