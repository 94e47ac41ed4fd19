#pragma once

#include <cstdint>

#include "comm/collectives.h"
#include "kernels/memory/arena.h"
#include "launcher/bench/benchmark.h"
#include "runtime/exchange/dispatch_plan.h"
#include "runtime/ranks/placement.h"
#include "runtime/routing/routing.h"

namespace coe {

/// K different experts for each of this rank's tokens, drawn by chance, with mixing weights 1 / K. Which experts are
/// wanted more is the same on every rank. In the arena.
Routing random_routing(const Benchmark& benchmark, int rank, Arena& arena);

/// Rows per (rank, expert), int32 [R, N], and this rank's plan of a routing without drops. In the arena. Collective.
DispatchPlan plan_of(const Routing& routing, const Placement& placement, Group group, Arena& arena);

/// Rows that leave `rank`, counted: those of all choices, and with one row for each rank that a token goes to.
struct RowsElsewhere {
  double every_choice = 0, once_per_rank = 0;
};
RowsElsewhere count_rows_elsewhere(const Routing& routing, const Placement& placement, int rank);
/// What chance makes of that where all experts are wanted alike: a rank with n of N experts is met by K choices with
/// probability 1 - C(N - n, K) / C(N, K).
RowsElsewhere expected_rows_elsewhere(std::int64_t tokens, std::int64_t top_k, const Placement& placement, int rank);

}  // namespace coe
