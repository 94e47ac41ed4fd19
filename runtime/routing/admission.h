#pragma once

#include <cstdint>

#include "comm/collectives.h"
#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/routing/router.h"

namespace coe {

/// Rows that an expert takes per iteration from `tokens` tokens: ceil(T K factor / N), exactly.
std::int64_t capacity_of(const LayerConfig& config, std::int64_t tokens);

/// The layer with another capacity factor, or, with 0, without drop policy and what needs one.
LayerConfig with_capacity(LayerConfig config, double factor);

/// Whether a token's choices can lose their place to a later token's: by probability to one of a larger score, with
/// rerouting to one that asks in an earlier round. A model that reads from left to right cannot know.
bool looks_ahead(const LayerConfig& config);

/// Decides which choices keep their place (GShard, arXiv 2006.16668, section 2.2) among `tokens` tokens of all ranks of
/// `group`, which is one rank's own where capacity is of rank scope: clears routing.kept where a choice does not, and
/// turns `counts`, int32 [R, N] choices per (rank of the group, expert), into the rows that run. Returns the routing
/// that runs: with reroute_rounds, choices that were dropped ask for their token's next best open expert, and those
/// that are granted stand in it with chosen 0 and without a weight. Collective over `group` unless the policy is none.
Routing admit(const LayerConfig& config, std::int64_t tokens, const Routed& routed, const Tensor& counts, Group group,
              const Phase& phase, Arena& arena);

}  // namespace coe
