#pragma once

#include <cstdint>
#include <span>

#include "comm/posted_collective.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"
#include "runtime/config/config.h"
#include "runtime/routing/contest.h"

namespace coe {

/// Places that are granted, and by whom.
struct PlaceGrants {
  DropPolicy policy;
  std::span<std::int64_t> room;  ///< [N] places that each expert still has
  Tensor counts;                 ///< int32 [R, N] asks per (rank of the group, expert); they become the grants
  Group group;
  Phase phase;
  PostedCollective* talk;
  Arena* arena;
};

/// Says which asks of all ranks get one of the places that each expert still has: those of the earlier tokens, or those
/// of larger score and on a tie of the earlier token. Grants are taken from the room. By position nothing is sent; by
/// probability there is a Contest. Collective over the group; suspended for it alone.
Task grant_places(const PlaceGrants& places, const Asks& asks, FrameArena& frames);

}  // namespace coe
