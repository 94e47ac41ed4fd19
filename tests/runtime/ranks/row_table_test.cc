#include "runtime/ranks/row_table.h"

#include <gtest/gtest.h>

#include <array>

#include "kernels/memory/error.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

TEST(RowTable, SumsOverRanks) {
  Arena arena;
  const RowTable table(tensor_of<std::int32_t>({3, 2}, {1, 2, 10, 20, 100, 200}, arena));
  EXPECT_EQ(table.ranks(), 3);
  EXPECT_EQ(table.experts(), 2);
  EXPECT_EQ(table.of(1)[1], 20);
  EXPECT_EQ(table.before(0, 1), 0);
  EXPECT_EQ(table.before(2, 1), 22);
  EXPECT_EQ(table.total(0), 111);
  EXPECT_EQ(values_of<std::int64_t>(table.totals(arena, host_stream())), (std::vector<std::int64_t>{111, 222}));
}

TEST(RowTable, TotalsOfManyRanksAreNotCutOff) {
  Arena arena;
  const RowTable table(tensor_of<std::int32_t>({3, 1}, {2'000'000'000, 2'000'000'000, 7}, arena));
  EXPECT_EQ(table.total(0), 4'000'000'007);
  EXPECT_EQ(*table.totals(arena, host_stream()).data<std::int64_t>(), 4'000'000'007);
}

TEST(RowTable, TotalsOfSeveralAddUp) {
  Arena arena;
  const std::array<Tensor, 2> totals = {tensor_of<std::int64_t>({2}, {4'000'000'000, 1}, arena),
                                        tensor_of<std::int64_t>({2}, {4'000'000'000, 2}, arena)};
  EXPECT_EQ(values_of<std::int64_t>(add_up_totals(totals, arena, host_stream())),
            (std::vector<std::int64_t>{8'000'000'000, 3}));
}

TEST(RowTable, OfOneAxisIsABug) {
  Arena arena;
  EXPECT_THROW(RowTable(tensor_of<std::int32_t>({2}, {1, 2}, arena)), Error);
}

}  // namespace
}  // namespace coe
