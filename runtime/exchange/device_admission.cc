#include "runtime/exchange/device_admission.h"

#include "kernels/routing/grants.h"

namespace coe {

DeviceAsks asks_of(const cuda::DeviceChoices& choices, Arena& arena) {
  const Shape shape = choices.expert.shape();
  return {choices.offsets,
          choices.expert,
          choices.score,
          {},
          arena.make<std::uint8_t>(shape),
          arena.make<std::int32_t>(shape)};
}

void ask_for_places(DropPolicy policy, const DeviceAsks& asks, const DevicePlan& counted, int round, const Tensor& all,
                    const DeviceExchange& exchange, Arena& arena, const Stream& stream) {
  exchange.tell(counted.totals, round, stream);
  const std::int64_t experts = counted.totals.elements();
  ArenaScope scratch(arena);
  // A plan of one rank that holds all experts.
  const cuda::BucketPlaces alone{arena.make<std::int32_t>({experts}), arena.make<std::int32_t>({experts}),
                                 arena.make<std::int32_t>({experts + 1}), arena.make<std::int32_t>({experts})};
  const cuda::RowPlaces rows{asks.offsets, arena.make<std::int32_t>(asks.expert.shape()), asks.place};
  cuda::place_buckets(counted.totals.reshaped({1, experts}), all, 0, {}, alone, stream);
  cuda::scatter_buckets(asks.expert, asks.asking, counted.counts, all, alone, rows, stream);
  if (policy == DropPolicy::kPosition) return;
  cuda::list_scores(asks.offsets, asks.place, asks.score, exchange.scores(round), stream);
}

void grant_places(DropPolicy policy, const DeviceAsks& asks, int round, cuda::BucketLimit limit, const Tensor& taken,
                  const DeviceExchange& exchange, Arena& arena, const Stream& stream) {
  ArenaScope scratch(arena);
  const Tensor granted = arena.make<std::uint8_t>(asks.expert.shape());
  const Tensor& table = exchange.table(round);
  if (policy == DropPolicy::kPosition) {
    cuda::grant_by_position(table, exchange.rank(), limit, taken, granted, stream);
  } else {
    cuda::grant_by_score(table, exchange.score_lists(round), exchange.rank(), limit, taken, granted, stream);
  }
  cuda::mark_kept(asks.offsets, asks.place, granted, asks.granted, stream);
}

}  // namespace coe
