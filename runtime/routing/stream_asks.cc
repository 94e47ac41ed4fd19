#include "runtime/routing/stream_asks.h"

#include <algorithm>

#include "kernels/memory/copy.h"
#include "kernels/routing/grants.h"

namespace coe {

StreamAsks asks_of(const Routing& routing, Arena& arena) {
  const Shape shape = routing.expert.shape();
  return {routing.offsets,
          routing.expert,
          routing.score,
          {},
          arena.make<std::uint8_t>(shape),
          arena.make<std::int32_t>(shape)};
}

void list_asks(DropPolicy policy, const StreamAsks& asks, const ChoiceCounts& counts, const cuda::Holders& all,
               const Tensor& scores, Arena& arena, const Stream& stream) {
  const std::int64_t experts = counts.totals.elements();
  ArenaScope scratch(arena);
  // As if one rank held all experts.
  const cuda::BucketPlaces alone{arena.make<std::int32_t>({experts}), arena.make<std::int32_t>({experts + 1}),
                                 arena.make<std::int32_t>({experts})};
  const cuda::RowPlaces rows{asks.offsets, arena.make<std::int32_t>(asks.expert.shape()), asks.place};
  cuda::place_buckets(counts.totals, all, 0, 0, alone, stream);
  cuda::scatter_buckets(asks.expert, asks.asking, counts.earlier, all, alone, rows, stream);
  if (policy == DropPolicy::kPosition) return;
  cuda::list_scores(asks.offsets, asks.place, asks.score, scores, stream);
}

void grant_asks(const StreamGrants& grants, const StreamAsks& asks, const Tensor& table, const Tensor& score_lists,
                Arena& arena, const Stream& stream) {
  ArenaScope scratch(arena);
  const Tensor granted = arena.make<std::uint8_t>(asks.expert.shape());
  if (grants.policy == DropPolicy::kPosition) {
    cuda::grant_by_position(table, grants.rank, grants.capacity, grants.taken, granted, stream);
  } else {
    cuda::grant_by_score(table, score_lists, grants.rank, grants.capacity, grants.taken, granted, stream);
  }
  cuda::mark_kept(asks.offsets, asks.place, granted, asks.granted, stream);
}

StreamStandbys stand_by(const Routing& routing, Arena& arena, const Stream& stream) {
  const Shape shape = routing.expert.shape();
  const cuda::Standbys kernels{.tried = arena.make<std::int32_t>({routing.tokens(), 32}),
                               .expert = arena.make<std::int32_t>(shape),
                               .score = arena.make<float>(shape),
                               .asking = arena.make<std::uint8_t>(shape),
                               .granted = arena.make<std::uint8_t>(shape)};
  clear(kernels.granted, stream);
  return {kernels,
          {routing.offsets, kernels.expert, kernels.score, kernels.asking, kernels.granted,
           arena.make<std::int32_t>(shape)}};
}

ChoiceCounts ask_next_best(const cuda::TopkRule& rule, const Tensor& bias, const Routed& routed, const Tensor& kept,
                           int round, const StreamStandbys& standbys, Arena& arena, const Stream& stream) {
  cuda::ask_next_best(routed.scores, bias, rule, routed.routing.on_device(), kept, round == 1, standbys.kernels,
                      stream);
  const cuda::DeviceChoices asked{routed.routing.offsets, standbys.asks.expert, {}, standbys.asks.score, {}};
  return count_choices(asked, standbys.asks.asking, routed.routing.experts, arena, stream);
}

void merge_standbys(const cuda::TopkRule& rule, const Tensor& kept, const StreamStandbys& standbys, Routed& routed,
                    Arena& arena, const Stream& stream) {
  const Routing own = routed.routing;
  const std::int64_t most = own.tokens() * std::min(2 * rule.top_k, own.experts);
  routed.routing = {.experts = own.experts,
                    .offsets = arena.make<std::int32_t>(own.offsets.shape()),
                    .expert = arena.make<std::int32_t>({most}),
                    .weight = arena.make<float>({most}),
                    .score = arena.make<float>({most}),
                    .chosen = arena.make<std::uint8_t>({most}),
                    .kept = arena.make<std::uint8_t>({most})};
  cuda::merge_standbys(routed.scores, rule, own.on_device(), kept, standbys.kernels, routed.routing.on_device(),
                       routed.routing.kept, stream);
}

}  // namespace coe
