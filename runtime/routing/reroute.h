#pragma once

#include <cstdint>
#include <span>

#include "comm/collectives.h"
#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/routing/router.h"

namespace coe {

/// Gives dropped choices another chance (GShard's and Tutel's idea of a next best expert, in rounds): in each round
/// every choice without a place asks for the best ranked expert that its token has neither chosen nor asked before; the
/// asks are granted by the layer's drop policy into the `room` [N] that is left. Returns the router's choices and the
/// granted ones (chosen 0, kept 1, no weight yet), by token and ascending expert; `counts`, int32 [R, N] kept rows, and
/// `room` follow. Collective over `group`: every rank makes equally many rounds.
Routing reroute(const LayerConfig& config, std::span<std::int64_t> room, const Routed& routed, const Tensor& counts,
                Group group, const Phase& phase, Arena& arena);

}  // namespace coe
