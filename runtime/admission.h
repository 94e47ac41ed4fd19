#pragma once

#include <cstdint>

#include "comm/collectives.h"
#include "kernels/arena.h"
#include "runtime/config.h"
#include "runtime/routing.h"

namespace coe {

/// Rows that an expert takes per iteration under global capacity: ceil(T K factor / N), T of the expert-parallel group.
std::int64_t capacity_of(const LayerConfig& config, std::int64_t group_tokens);

/// Decides which choices keep their place (GShard, arXiv 2006.16668, section 2.2, over the whole group): clears
/// routing.kept where one does not, and turns `counts`, int32 [R, N] choices per (rank of the group, expert), into the
/// rows that are kept. By position nothing is sent; by probability the scores of contested experts are all-gathered.
/// Collective over `group` unless the policy is none.
void admit(const LayerConfig& config, std::int64_t group_tokens, const Routing& routing, const Tensor& counts,
           Group group, const Phase& phase, Arena& arena);

}  // namespace coe
