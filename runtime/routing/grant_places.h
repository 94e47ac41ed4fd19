#pragma once

#include <cstdint>
#include <span>

#include "comm/collectives.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"
#include "runtime/config/config.h"
#include "runtime/routing/contest.h"

namespace coe {

/// Says which asks of all ranks get one of the `room` [N] places that each expert still has: those of the earlier
/// tokens, or those of larger score and on a tie of the earlier token. counts, int32 [R, N] asks per (rank of the
/// group, expert), become the grants, which are taken from `room`. By position nothing is sent; by probability there is
/// a Contest. Collective over `group`.
void grant_places(DropPolicy policy, std::span<std::int64_t> room, const Asks& asks, const Tensor& counts, Group group,
                  const Phase& phase, Arena& arena);

}  // namespace coe
