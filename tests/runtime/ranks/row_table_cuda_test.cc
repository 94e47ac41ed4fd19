#include <array>

#include "runtime/ranks/row_table.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

using RowTableCuda = OnCuda;

TEST_F(RowTableCuda, TotalsOfSeveralAddUp) {
  Arena arena = poisoned_arena(1 << 12);
  const RowTable one(put(Ints({2, 3}, {1, 2, 3, 10, 20, 30}))), other(put(Ints({1, 3}, {100, 0, 300})));
  const std::array<Tensor, 2> totals = {one.totals(arena, stream_), other.totals(arena, stream_)};
  EXPECT_EQ(get<std::int32_t>(add_up_totals(totals, arena, stream_)).values(),
            (std::vector<std::int32_t>{111, 22, 333}));
}

}  // namespace
}  // namespace coe
