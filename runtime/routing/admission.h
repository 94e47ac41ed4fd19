#pragma once

#include <cstdint>
#include <vector>

#include "comm/posted_collective.h"
#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/ranks/row_tables.h"
#include "runtime/ranks/stream_placement.h"
#include "runtime/routing/router.h"
#include "runtime/routing/stream_asks.h"

namespace coe {

/// Rows that an expert takes per iteration from `tokens` tokens: ceil(T K factor / N), exactly.
std::int64_t capacity_of(const LayerConfig& config, std::int64_t tokens);

/// The layer with another capacity factor, or, with 0, without drop policy and what needs one.
LayerConfig with_capacity(LayerConfig config, double factor);

/// Whether a token's choices can lose their place to a later token's: by probability to one of a larger score, with
/// rerouting to one that asks in an earlier round. A model that reads from left to right cannot know.
bool looks_ahead(const LayerConfig& config);

/// Which choices keep their place in one layer (GShard, arXiv 2006.16668, section 2.2): decides for all ranks that
/// share places, and with reroute_rounds gives what was dropped to the next best open expert.
class Admission {
 public:
  /// `tables` are those of `group`, the ranks that share places, which are one rank's own where capacity is of rank
  /// scope. Views router and tables.
  Admission(const LayerConfig& config, const Router& router, RowTables& tables, const Group& group);

  struct Call {
    const LayerConfig& config;  ///< with the capacity of this forward
    std::int64_t tokens;        ///< of all ranks of the group
    const Tensor& bias;         ///< [N], or empty, that the router chose with
    Phase phase;
    Arena& arena;
  };
  /// Clears routed.routing.kept where a choice does not keep its place. table, int32 [R, N] choices per (rank of the
  /// group, expert), becomes the rows that run, or another table that has them. With reroute_rounds, choices that were
  /// granted stand in routed.routing too, with chosen 0. Only where the layer has a drop policy. Collective over the
  /// group.
  Task admit(const Call& call, Routed& routed, Tensor& table, FrameArena& frames);

 private:
  Task admit_on_host(const Call& call, Routed& routed, Tensor& table, FrameArena& frames);
  Task admit_on_stream(const Call& call, Routed& routed, Tensor& table, FrameArena& frames);
  void settle_on_stream(const Call& call, const StreamAsks& asks, const StreamStandbys& standbys, Routed& routed) const;
  bool on_host() const { return router_->stream().device() == kCpu; }

  const Router* router_;
  RowTables* tables_;
  Group group_;
  std::vector<std::int64_t> room_;
  PostedCollective talk_;
  StreamPlacement all_;  ///< as if one rank held all experts
};

}  // namespace coe
