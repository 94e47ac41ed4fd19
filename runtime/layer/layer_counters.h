#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/group.h"
#include "kernels/memory/buffer.h"
#include "kernels/memory/stream.h"
#include "runtime/exchange/dispatch_plan.h"
#include "runtime/routing/router.h"

namespace coe {

/// What passed through one iteration on this rank since the counters were last cleared.
struct IterationCounters {
  std::vector<std::int64_t> load;          ///< [N] choices of this rank's tokens, before any is dropped
  std::int64_t dropped = 0, rerouted = 0;  ///< dropped: without a place in the end
  std::int64_t bytes_sent = 0;             ///< 0 where the host cannot read it
};

/// Counts for every iteration of a layer, on the stream's device until somebody asks. Views the stream.
class LayerCounters {
 public:
  LayerCounters(std::int64_t iterations, std::int64_t experts, const Stream& stream);

  void clear();
  void add_chosen(int t, const Routed& routed);
  /// `chosen` choices of the router, and int32 [N] rows that run of this rank's.
  void add_sent(int t, std::int64_t chosen, const Routed& routed, const DispatchPlan& plan, const Tensor& rows);
  void add_bytes(int t, std::int64_t bytes) { of(t).bytes_sent += bytes; }
  /// Waits for the stream.
  std::span<IterationCounters> read(const Group& group);

 private:
  IterationCounters& of(int t) { return counters_[static_cast<std::size_t>(t)]; }
  /// int64 on a device: choices [N], rows that run [N], those of them that were rerouted [1].
  Tensor chosen(int t) const { return there_[t].rows(0, experts_); }
  Tensor sent(int t) const { return there_[t].rows(experts_, experts_); }
  Tensor rerouted(int t) const { return there_[t].rows(2 * experts_, 1); }

  std::int64_t experts_;
  const Stream* stream_;
  std::vector<IterationCounters> counters_;
  Buffer memory_;
  Tensor there_;  ///< [C, 2 N + 1]; empty on the host
};

}  // namespace coe
