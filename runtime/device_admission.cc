#include "runtime/device_admission.h"

#include "kernels/grants.h"

namespace coe {

DeviceAsks ask_for_places(const cuda::DeviceChoices& choices, const DevicePlan& plan, const Tensor& all,
                          const DeviceExchange& exchange, Arena& arena, const Stream& stream) {
  const std::int64_t experts = plan.totals.elements();
  const DeviceAsks asks{arena.make<std::int32_t>(choices.expert.shape())};
  ArenaScope scratch(arena);
  // A plan of one rank that holds all experts.
  const cuda::BucketPlaces alone{arena.make<std::int32_t>({experts}), arena.make<std::int32_t>({experts}),
                                 arena.make<std::int32_t>({experts + 1}), arena.make<std::int32_t>({experts})};
  const cuda::RowPlaces rows{choices.offsets, arena.make<std::int32_t>(choices.expert.shape()), asks.place};
  cuda::place_buckets(plan.totals.reshaped({1, experts}), all, 0, {}, alone, stream);
  cuda::scatter_buckets(choices.expert, {}, plan.counts, all, alone, rows, stream);
  cuda::list_scores(choices.offsets, asks.place, choices.score, exchange.scores(), stream);
  return asks;
}

Tensor admit_by_score(const cuda::DeviceChoices& choices, const DeviceAsks& asks, const DeviceExchange& exchange,
                      cuda::BucketLimit limit, DevicePlan& plan, Arena& arena, const Stream& stream) {
  const Tensor rows = arena.make<std::int32_t>(exchange.table().shape());
  plan.kept = arena.make<std::uint8_t>(choices.expert.shape());
  ArenaScope scratch(arena);
  const Tensor granted = arena.make<std::uint8_t>(choices.expert.shape());
  const Tensor unused = arena.make<std::int32_t>(plan.totals.shape());
  cuda::grant_by_score(exchange.table(), exchange.score_lists(), exchange.rank(), limit, rows, granted, stream);
  cuda::mark_kept(choices.offsets, asks.place, granted, plan.kept, stream);
  cuda::count_buckets(choices.offsets, choices.expert, plan.kept, plan.counts, stream);
  cuda::scan_buckets(plan.counts, unused, stream);
  return rows;
}

}  // namespace coe
