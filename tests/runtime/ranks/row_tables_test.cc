#include "runtime/ranks/row_tables.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

TEST(RowTablesOnRanks, TheIterationsTableOutlivesItsRounds) {
  for_each_ranks([](Transport& world) {
    Arena arena;
    const auto tables = make_row_tables({&world}, {.experts = 2});
    const std::int32_t rank = world.rank();
    for (int iteration = 0; iteration < 3; ++iteration) {
      for (int round = 0; round < 4; ++round) {
        tables->tell(tensor_of<std::int32_t>({1, 2}, {rank, 100 * iteration + round}, arena), round, {"telling"});
        tables->told().get();
        ASSERT_EQ(tables->table(round).shape(), (Shape{world.size(), 2}));
        for (int r = 0; r < world.size(); ++r) {
          EXPECT_EQ(tables->table(round).data<std::int32_t>()[2 * r], r);
          EXPECT_EQ(tables->table(round).data<std::int32_t>()[2 * r + 1], 100 * iteration + round);
          EXPECT_EQ(tables->table(0).data<std::int32_t>()[2 * r + 1], 100 * iteration);
        }
      }
    }
  });
}

TEST(RowTables, TellNoScoresWhereTheHostReadsThem) {
  on_ranks(2, [](Transport& world) {
    const auto tables = make_row_tables({&world}, {.experts = 2, .scores = 9});
    EXPECT_EQ(tables->scores(0).elements(), 0);
    EXPECT_EQ(tables->score_lists(0).elements(), 0);
  });
}

}  // namespace
}  // namespace coe
