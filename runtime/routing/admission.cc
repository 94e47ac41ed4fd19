#include "runtime/routing/admission.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/memory/copy.h"
#include "runtime/routing/grant_places.h"
#include "runtime/routing/reroute.h"
#include "runtime/routing/topk_router.h"

namespace coe {
namespace {

/// The factor is a decimal of six places at most, which a double rounds, and so is counted in millionths.
constexpr std::int64_t kOne = 1'000'000;

}  // namespace

std::int64_t capacity_of(const LayerConfig& config, std::int64_t tokens) {
  __extension__ using Wide = __int128;
  const Wide choices = Wide{tokens} * config.top_k * std::llround(config.capacity_factor * kOne);
  const Wide experts = Wide{config.experts} * kOne;
  return static_cast<std::int64_t>((choices + experts - 1) / experts);
}

LayerConfig with_capacity(LayerConfig config, double factor) {
  if (config.drop_policy == DropPolicy::kNone) return config;
  config.capacity_factor = factor;
  if (factor > 0) return config;
  config.drop_policy = DropPolicy::kNone;
  config.capacity_scope = CapacityScope::kGlobal;
  config.reroute_rounds = 0;
  config.pad_to_capacity = false;
  return config;
}

bool looks_ahead(const LayerConfig& config) {
  return config.drop_policy == DropPolicy::kProbability || config.reroute_rounds > 0;
}

Admission::Admission(const LayerConfig& config, const Router& router, RowTables& tables, const Group& group)
    : router_(&router),
      tables_(&tables),
      group_(group),
      room_(static_cast<std::size_t>(config.experts)),
      all_(Placement(config.experts, 1), router.stream()) {}

Task Admission::admit(const Call& call, Routed& routed, Tensor& table, FrameArena& frames) {
  return on_host() ? admit_on_host(call, routed, table, frames) : admit_on_stream(call, routed, table, frames);
}

Task Admission::admit_on_host(const Call& call, Routed& routed, Tensor& table, FrameArena& frames) {
  std::ranges::fill(room_, capacity_of(call.config, call.tokens));
  const PlaceGrants places{call.config.drop_policy, room_, table, group_, call.phase, &talk_, &call.arena};
  const Asks asks{routed.routing.expert, routed.routing.score, routed.routing.kept};
  Task granted = grant_places(places, asks, frames);
  co_await granted;
  if (call.config.reroute_rounds == 0) co_return;
  Task rerouted = reroute(call.config, places, *tables_, routed, frames);
  co_await rerouted;
  router_->weigh(routed.routing);
}

Task Admission::admit_on_stream(const Call& call, Routed& routed, Tensor& table, FrameArena& /*frames*/) {
  const Stream& stream = router_->stream();
  const DropPolicy policy = call.config.drop_policy;
  const auto capacity = static_cast<std::int32_t>(capacity_of(call.config, call.tokens));
  const StreamGrants grants{policy, capacity, group_.rank(), call.arena.make<std::int32_t>(table.shape())};
  clear(grants.taken, stream);
  const StreamAsks asks = asks_of(routed.routing, call.arena);
  list_asks(policy, asks, {routed.counts, routed.earlier}, all_.holders(), tables_->scores(0), call.arena, stream);
  if (policy == DropPolicy::kProbability) {
    tables_->tell_scores(call.phase);
    co_await tables_->told();
  }
  grant_asks(grants, asks, table, tables_->score_lists(0), call.arena, stream);
  // No rank knows that nobody asks any more, so all rounds are held.
  const auto rounds = static_cast<int>(call.config.reroute_rounds);
  const cuda::TopkRule rule = topk_rule(call.config);
  StreamStandbys standbys;
  if (rounds > 0) standbys = stand_by(routed.routing, call.arena, stream);
  for (int round = 1; round <= rounds; ++round) {
    const ChoiceCounts counts =
        ask_next_best(rule, call.bias, routed, asks.granted, round, standbys, call.arena, stream);
    list_asks(policy, standbys.asks, counts, all_.holders(), tables_->scores(round), call.arena, stream);
    tables_->tell(counts.totals, round, call.phase);
    co_await tables_->told();
    grant_asks(grants, standbys.asks, tables_->table(round), tables_->score_lists(round), call.arena, stream);
  }
  settle_on_stream(call, asks, standbys, routed);
  table = grants.taken;
}

void Admission::settle_on_stream(const Call& call, const StreamAsks& asks, const StreamStandbys& standbys,
                                 Routed& routed) const {
  const Stream& stream = router_->stream();
  if (call.config.reroute_rounds == 0) {
    routed.routing.kept = asks.granted;
  } else {
    merge_standbys(topk_rule(call.config), asks.granted, standbys, routed, call.arena, stream);
  }
  const auto [totals, earlier] =
      count_choices(routed.routing.on_device(), routed.routing.kept, routed.routing.experts, call.arena, stream);
  routed.counts = totals;
  routed.earlier = earlier;
}

}  // namespace coe
