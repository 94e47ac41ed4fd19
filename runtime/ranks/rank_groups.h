#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "comm/collectives.h"
#include "comm/transport.h"
#include "runtime/ranks/make_device_messages.h"

namespace coe {

/// The world as expert-parallel groups times replicas of them: world rank = replica * expert_parallel + rank in its
/// group, so that ascending world rank is global token order. Views the world's Transport, owns those split off it.
class RankGroups {
 public:
  /// `expert_parallel` 0 means all ranks. Collective; throws kBadInput where it does not divide the number of ranks.
  /// Exchanges of all its groups go to `recorder`, if there is one.
  RankGroups(Transport& world, std::int64_t expert_parallel, std::chrono::milliseconds deadline,
             FlightRecorder* recorder = nullptr, const RankDevice& device = {});

  Group world() const { return {world_, deadline_, recorder_, world_messages_.get()}; }
  /// The ranks among which one set of experts is sharded.
  Group experts() const {
    if (!experts_) return world();
    return {experts_.get(), deadline_, recorder_, experts_messages_.get()};
  }
  /// The ranks that hold the same experts, one of every expert-parallel group; a group of one without data parallelism.
  Group replicas() const {
    if (!replicas_) return alone();
    return {replicas_.get(), deadline_, recorder_, replicas_messages_.get()};
  }
  /// This rank and nobody else.
  Group alone() const { return {alone_.get(), deadline_, recorder_}; }

 private:
  Transport* world_;
  std::unique_ptr<Transport> experts_, replicas_, alone_;
  std::chrono::milliseconds deadline_;
  FlightRecorder* recorder_;
  std::unique_ptr<DeviceMessages> world_messages_, experts_messages_, replicas_messages_;
};

/// Throws kBadInput where expert-parallel groups of so many ranks (0: all) do not divide `ranks`.
void check_expert_parallel(std::int64_t expert_parallel, std::int64_t ranks);

}  // namespace coe
