#include "runtime/ranks/row_table.h"

#include <algorithm>
#include <functional>

#include "kernels/memory/copy.h"
#include "kernels/routing/buckets.h"

namespace coe {

RowTable::RowTable(const Tensor& rows) : rows_(rows) { expect_rank("row table", rows, 2); }

std::int64_t RowTable::before(int rank, std::int64_t expert) const {
  std::int64_t sum = 0;
  for (int source = 0; source < rank; ++source) sum += of(source)[expert];
  return sum;
}

Tensor RowTable::totals(Arena& arena, const Stream& stream) const {
  if (!rows_.on_host()) {
    const Tensor sums = arena.make<std::int32_t>({experts()});
    cuda::sum_sources(rows_, sums, stream);
    return sums;
  }
  const Tensor sums = arena.zeros<std::int64_t>({experts()});
  auto* sum = sums.data<std::int64_t>();
  for (int rank = 0; rank < ranks(); ++rank) std::transform(sum, sum + experts(), of(rank), sum, std::plus<>());
  return sums;
}

Tensor add_up_totals(std::span<const Tensor> totals, Arena& arena, const Stream& stream) {
  const std::int64_t experts = totals.front().elements();
  if (totals.front().on_host()) {
    const Tensor sums = arena.zeros<std::int64_t>({experts});
    auto* sum = sums.data<std::int64_t>();
    for (const Tensor& each : totals) std::transform(sum, sum + experts, each.data<std::int64_t>(), sum, std::plus<>());
    return sums;
  }
  const Tensor table = arena.make<std::int32_t>({std::ssize(totals), experts});
  for (std::int64_t i = 0; i < std::ssize(totals); ++i) {
    copy(totals[static_cast<std::size_t>(i)], table[i].reshaped(totals.front().shape()), stream);
  }
  return RowTable(table).totals(arena, stream);
}

}  // namespace coe
