#include "runtime/exchange/device_plan.h"

#include <algorithm>

namespace coe {

DevicePlan count_choices(const cuda::DeviceChoices& choices, const Tensor& kept, std::int64_t experts, Arena& arena,
                         const Stream& stream) {
  const std::int64_t tokens = choices.offsets.extent(0) - 1;
  const std::int64_t blocks = std::max<std::int64_t>(1, (tokens + cuda::kTokensPerBlock - 1) / cuda::kTokensPerBlock);
  DevicePlan plan;
  plan.kept = kept;
  plan.counts = arena.make<std::int32_t>({blocks, experts});
  plan.totals = arena.make<std::int32_t>({experts});
  cuda::count_buckets(choices.offsets, choices.expert, kept, plan.counts, stream);
  cuda::scan_buckets(plan.counts, plan.totals, stream);
  return plan;
}

void place_choices(const cuda::DeviceChoices& choices, const Tensor& table, const Tensor& first,
                   const Placement& placement, int rank, cuda::BucketLimit limit, DevicePlan& plan, Arena& arena,
                   const Stream& stream) {
  const std::int64_t experts = table.extent(1);
  const std::int64_t held = placement.experts_of(rank).count;
  plan.buckets = {arena.make<std::int32_t>({experts}), arena.make<std::int32_t>({experts}),
                  arena.make<std::int32_t>({held + 1}), arena.make<std::int32_t>({held})};
  plan.rows = {choices.offsets, arena.make<std::int32_t>(choices.expert.shape()),
               arena.make<std::int32_t>(choices.expert.shape())};
  cuda::place_buckets(table, first, rank, limit, plan.buckets, stream);
  cuda::scatter_buckets(choices.expert, plan.kept, plan.counts, first, plan.buckets, plan.rows, stream);
}

void clear_padding(const DevicePlan& plan, const Tensor& rows, const Tensor& scalar, const Stream& stream) {
  const Tensor& ends = plan.buckets.row_ends;
  cuda::clear_runs_of_rows(rows, scalar, ends, plan.buckets.row_offsets.rows(1, ends.elements()), stream);
}

std::int64_t most_rows(const Placement& placement, std::int64_t tokens, std::int64_t each, std::int64_t limit) {
  const std::int64_t held = placement.experts_of(0).count;  // the first ranks hold the most
  const std::int64_t chosen = tokens * std::min(each, held);
  return limit > 0 ? std::min(chosen, held * limit) : chosen;
}

}  // namespace coe
