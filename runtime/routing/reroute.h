#pragma once

#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/ranks/row_tables.h"
#include "runtime/routing/grant_places.h"
#include "runtime/routing/router.h"

namespace coe {

/// Gives dropped choices another chance (GShard's and Tutel's idea of a next best expert, in rounds): in each of the
/// layer's rounds every choice without a place asks for the best ranked expert that its token has neither chosen nor
/// asked before, which `tables` tell; the asks are granted by the layer's drop policy into the room that is left.
/// routed.routing becomes the router's choices and the granted ones (chosen 0, kept 1, no weight yet), by token and
/// ascending expert; places.counts, kept rows, and the room follow. Collective over the group: every rank makes equally
/// many rounds.
Task reroute(const LayerConfig& config, const PlaceGrants& places, RowTables& tables, Routed& routed,
             FrameArena& frames);

}  // namespace coe
