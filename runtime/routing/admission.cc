#include "runtime/routing/admission.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "runtime/routing/grant_places.h"
#include "runtime/routing/reroute.h"

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

Routing admit(const LayerConfig& config, std::int64_t tokens, const Routed& routed, const Tensor& counts, Group group,
              const Phase& phase, Arena& arena) {
  const Routing& routing = routed.routing;
  if (config.drop_policy == DropPolicy::kNone) return routing;
  const auto room = arena.make<std::int64_t>({config.experts}).span<std::int64_t>();
  std::ranges::fill(room, capacity_of(config, tokens));
  grant_places(config.drop_policy, room, {routing.expert, routing.score, routing.kept}, counts, group, phase, arena);
  if (config.reroute_rounds == 0) return routing;
  return reroute(config, room, routed, counts, group, phase, arena);
}

}  // namespace coe
