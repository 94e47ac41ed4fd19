#pragma once

#include "kernels/routing/buckets.h"
#include "kernels/routing/reroute.h"
#include "runtime/config/config.h"
#include "runtime/routing/router.h"

namespace coe {

// Places that are asked for and granted where the host cannot read what a stream computes; grant_places() and reroute()
// say the same on the host.

/// This rank's asks for places in one round; views the step's Arena.
struct StreamAsks {
  Tensor offsets;  ///< int32 [T + 1]: asks j in [offsets[t], offsets[t + 1]) are token t's
  Tensor expert;   ///< int32 [asks], different ones of a token
  Tensor score;    ///< fp32 [asks]
  Tensor asking;   ///< uint8 [asks], 0 where none is made; empty: all are
  Tensor granted;  ///< uint8 [asks], written where an ask is made
  Tensor place;    ///< int32 [asks] in the order of (expert, token), -1 where none is made
};
/// All choices of a router ask.
StreamAsks asks_of(const Routing& routing, Arena& arena);

/// What the asks of a round are granted by.
struct StreamGrants {
  DropPolicy policy;
  std::int32_t capacity;  ///< of an expert, in all rounds
  int rank;               ///< of those that share the places
  Tensor taken;           ///< int32 [R, N], rows granted in earlier rounds, to which this round's are added
};
/// Numbers the asks, which `counts` has counted, and lists their scores where places are given by score. `all` says
/// that one holds all buckets.
void list_asks(DropPolicy policy, const StreamAsks& asks, const ChoiceCounts& counts, const cuda::Holders& all,
               const Tensor& scores, Arena& arena, const Stream& stream);
/// table int32 [R, N] asks of all ranks; score_lists int64 [R] where their scores stand.
void grant_asks(const StreamGrants& grants, const StreamAsks& asks, const Tensor& table, const Tensor& score_lists,
                Arena& arena, const Stream& stream);

/// What stands in for a router's choices that got no place; views the step's Arena.
struct StreamStandbys {
  cuda::Standbys kernels;
  StreamAsks asks;  ///< the same, as they ask
};
StreamStandbys stand_by(const Routing& routing, Arena& arena, const Stream& stream);
/// Decides on a round's asks, from 1 on, and counts them; kept uint8 [choices] of the router's choices, which bias [N],
/// or empty, was added to.
ChoiceCounts ask_next_best(const cuda::TopkRule& rule, const Tensor& bias, const Routed& routed, const Tensor& kept,
                           int round, const StreamStandbys& standbys, Arena& arena, const Stream& stream);
/// routed.routing becomes the router's choices and the granted, weighed; those without a place are not kept.
void merge_standbys(const cuda::TopkRule& rule, const Tensor& kept, const StreamStandbys& standbys, Routed& routed,
                    Arena& arena, const Stream& stream);

}  // namespace coe
